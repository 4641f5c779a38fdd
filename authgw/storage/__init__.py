"""Where sessions are kept: shells around the SessionStore protocol."""
