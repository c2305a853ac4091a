"""Files, errors, randomness, text and progress: what every room uses."""
