"""Configuration: sources, schema, rules and the loader."""
