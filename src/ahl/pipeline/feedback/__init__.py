"""Feedback: images that people labelled after a service scored them, to update a model by."""
