"""Asking a version and its base something; nothing of it is kept."""
