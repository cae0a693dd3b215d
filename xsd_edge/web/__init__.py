"""A run in a browser, for boards without a screen."""
