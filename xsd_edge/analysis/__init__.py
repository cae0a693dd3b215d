"""Analysis: how far apart events and video are, and what that does to acceptance."""
