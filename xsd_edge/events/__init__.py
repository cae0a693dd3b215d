"""Events: packets, their sources and decoders, clips, representations and the pixel simulator."""
