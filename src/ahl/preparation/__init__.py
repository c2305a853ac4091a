"""Preparation: from feature rows to what the heads see."""
