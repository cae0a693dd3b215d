"""Stands in for the package of this name, also where the real one is installed."""
