"""Features: what the backbone makes of images, as maps, rows, tables and stores."""
