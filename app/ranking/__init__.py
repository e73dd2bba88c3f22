"""The rules: the story of one request, its budget, its fallback, and the ports that it needs."""
