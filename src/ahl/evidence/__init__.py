"""Evidence beyond the paper: components, memory, calibration by out-of-fold scores."""
