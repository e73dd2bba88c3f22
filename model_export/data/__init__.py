"""From raw files to arrays, splits and vocabularies."""
