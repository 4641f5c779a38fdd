"""Checks for proxies, without an HTTP server: a plain request in, a plain response out."""
