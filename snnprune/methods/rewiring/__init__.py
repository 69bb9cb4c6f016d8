"""Rewiring while training: synapses go and come back."""
