"""Measuring what contributions were worth: asked for, measured in parts, recorded once."""
