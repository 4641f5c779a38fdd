"""Dialects: the subrequests of each proxy, and the responses that it expects."""
