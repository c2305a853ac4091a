"""Collaborative differentiable learning: Algorithm 1, and what follows it."""
