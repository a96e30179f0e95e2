"""The evidence half: what a member recomputes from signed packets and votes on."""
