"""What is said of a version: its card, what it was made from, and how it is taken elsewhere."""
