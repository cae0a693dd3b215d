"""Calibration: real inputs whose extremes set the INT8 ranges."""
