"""What people said of images that a service scored: files and labels to correct a model by."""
