"""Heterogeneous anomaly distributions: episodes, pseudo anomalies and the training set."""
