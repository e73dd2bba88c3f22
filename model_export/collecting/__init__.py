"""From the service's event log to Parquet, exactly once."""
