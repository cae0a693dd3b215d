"""What a drafter should see: one head, trained and measured on different inputs."""
