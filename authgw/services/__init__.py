"""Use cases: sessions, identification, log-in."""
