"""Each proxy's own way of asking and of being answered."""
