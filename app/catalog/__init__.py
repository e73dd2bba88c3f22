"""Items: ids, rows, vectors, texts, priors, and the ones added online."""
