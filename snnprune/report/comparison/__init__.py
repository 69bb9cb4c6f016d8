"""Pictures of a comparison of methods."""
