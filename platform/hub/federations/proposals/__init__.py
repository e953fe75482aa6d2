"""Proposals: made, voted on, decided once, and applied with the decision."""
