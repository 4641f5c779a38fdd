"""First installation: the answers that `authgw init` needs, and the files that it writes."""
