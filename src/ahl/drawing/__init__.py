"""Pictures for people, of what is said of images."""
