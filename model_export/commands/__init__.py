"""One module a command of `python -m model_export`."""
