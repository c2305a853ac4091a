"""Features: the backbone's outputs for images, as maps, rows, tables and stores."""
