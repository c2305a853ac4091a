"""Straight lines through the rooms: train, adapt, update."""
