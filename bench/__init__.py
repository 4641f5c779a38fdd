"""Benchmarks: variants in turn within a run, ratios and CPU time per request."""
