"""Use cases: log in, refresh and log out with identity providers."""
