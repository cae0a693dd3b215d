"""Engines made on the device that runs them: compile, check, time, record."""
