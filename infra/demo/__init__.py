"""The demonstration's scenario: its declared parameters, and what is built from them."""
