"""Heterogeneous anomaly distributions: episodes, pseudo anomalies, the training set."""
