"""Benchmarks: variants in turn in one run, ratios and CPU time per request."""
