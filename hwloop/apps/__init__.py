"""Applications: photographs, ratings and plain matrices to matrices, factors to metrics and pictures. No hardware."""
