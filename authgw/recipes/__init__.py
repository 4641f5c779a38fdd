"""Proxy configuration as an operator copies it, rendered from this gateway's configuration."""
