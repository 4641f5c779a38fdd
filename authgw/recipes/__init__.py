"""Proxy configuration for operators to copy, rendered from this gateway's configuration."""
