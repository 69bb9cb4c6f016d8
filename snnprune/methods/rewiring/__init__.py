"""Rewiring while training: synapses are removed, and others grow."""
