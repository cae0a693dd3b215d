"""What runs on the device: engines, decoder, drafters, verifier, planner and the `run` command."""
