"""Pseudo anomalies: normal images made to look anomalous."""
