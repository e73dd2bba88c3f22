"""Redis: histories, events, items added online, and the embedded server."""
