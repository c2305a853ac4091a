"""Open-set supervised anomaly detection for images."""
