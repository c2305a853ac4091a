"""Scoring with exported models, where torch need not be installed."""
