"""Files that the operator owns: read, edited and written safely."""
