"""Files, errors, randomness, text and progress, shared by all rooms."""
