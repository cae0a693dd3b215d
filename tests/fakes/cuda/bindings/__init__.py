"""Stands in for the bindings."""
