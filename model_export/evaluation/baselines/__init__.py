"""What a model has to beat: counting, neighbours, linear algebra and text, one file each, numpy and scipy alone."""
