"""A training as a film, and the pictures of what was recorded for it."""
