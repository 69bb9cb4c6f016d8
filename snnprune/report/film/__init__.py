"""A training as a film, and pictures of its recording."""
