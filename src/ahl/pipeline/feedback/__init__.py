"""Feedback: images that people labelled after a service scored them, for updating a model."""
