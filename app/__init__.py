"""The online service: ranks candidates for a user within a time budget."""

__version__ = "0.1.0"
