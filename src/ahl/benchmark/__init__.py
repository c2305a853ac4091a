"""The protocol, public datasets, rivals and tables."""
