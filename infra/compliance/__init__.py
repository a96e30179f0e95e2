"""A compliance year played through offline: the submissions of every party, judged as the committee judges them."""
