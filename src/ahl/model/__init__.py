"""The trained model and its parts: card, decision, exemplars, manifest."""
