"""The trained artefact, and what is in it."""
