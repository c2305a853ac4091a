"""Training, adaptation and update, built from the rooms above."""
