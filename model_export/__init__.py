"""Offline: raw interactions and item texts in, a certified bundle out."""
