"""Live sources: what a camera's name means, one module a kind of camera, and coming back."""
