"""Collaborative differentiable learning: Algorithm 1, weight averaging and fine-tuning."""
