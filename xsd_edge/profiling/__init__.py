"""What a bundle does on this machine: stages, acceptance, speed-up, memory, power; and reports."""
