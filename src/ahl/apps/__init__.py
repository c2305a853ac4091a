"""Applications: each knows pipeline, model and scoring; none knows another."""
