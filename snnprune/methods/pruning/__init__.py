"""Pruning while training: pruned synapses stay pruned, except in Drop Pruning."""
