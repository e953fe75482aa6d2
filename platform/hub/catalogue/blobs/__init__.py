"""Immutable bytes: where they lie, how they come in and go out, and when they are let go."""
