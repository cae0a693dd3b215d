"""The paired world that the demo pair is trained and judged in; needs numpy alone."""
