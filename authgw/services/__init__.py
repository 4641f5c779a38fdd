"""Use cases: sessions, identification, login."""
