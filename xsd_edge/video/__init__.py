"""Frames for the target: where they come from and how they become pixels."""
