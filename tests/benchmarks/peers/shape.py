"""What both environments must agree on."""

WINDOW_MS = 600_000
