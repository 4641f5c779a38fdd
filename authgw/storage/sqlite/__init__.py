"""Sessions and counters in SQLite, for a single replica."""
