"""A small inspection dataset drawn by code, so that the demo needs no download."""
