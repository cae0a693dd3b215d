"""Decoders: bytes of one format to events, one file each."""
