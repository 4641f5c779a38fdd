"""What `authgw doctor` looks at."""
