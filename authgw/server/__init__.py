"""The process: listeners, connections, reload and shutdown of a replica."""
