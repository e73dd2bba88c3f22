"""Full-catalogue metrics, intervals, baselines, reports."""
