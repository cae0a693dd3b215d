"""Writers: packets to recordings, one file a format; what they write, the decoders read back."""
