"""Sessions in Redis: a single node, Sentinel or Cluster."""
