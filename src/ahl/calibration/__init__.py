"""Calibration: from several kinds of evidence to one score, and how likely it is an anomaly's."""
