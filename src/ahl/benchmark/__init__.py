"""The benchmark: protocol, public datasets, rival methods and tables."""
