"""Sessions in SQLite, for a single replica."""
