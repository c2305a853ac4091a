"""Images: finding, reading, resizing and labelling files and arrays."""
