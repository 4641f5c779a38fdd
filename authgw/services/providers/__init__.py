"""Logins at identity providers, and the checks, logouts and documents that belong to them."""
