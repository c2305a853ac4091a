"""Watched folder: arriving images are scored and moved by their verdict, each exactly once."""
