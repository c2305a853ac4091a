"""A run from images or feature maps to a trained model."""
