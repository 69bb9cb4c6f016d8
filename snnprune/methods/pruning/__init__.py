"""Pruning while training: what is pruned stays pruned, except in Drop Pruning."""
