"""Metrics, stage times, logs."""
