"""A run from its config to its summary: made, carried out, resumed, and read back."""
