"""Certify: proves on a user's own engines that speculation does not change what the target says."""
