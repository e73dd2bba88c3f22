"""From scores to a list: stable top-k, diversity, sampling, caps. Pure numpy; used online and by offline evaluation."""
