"""Who may open sessions: trusted backends, and later people."""
