"""A trained model corrected by what it got wrong."""
