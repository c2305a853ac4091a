"""Scoring: predictions, reasons, heat maps, thresholds and figures."""
