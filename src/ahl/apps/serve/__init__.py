"""A model as an HTTP service: many clients, bounded memory, the scores of `ahl predict`."""
