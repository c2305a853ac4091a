"""Ours, beside the paper: components, memory, calibration by out-of-fold scores."""
