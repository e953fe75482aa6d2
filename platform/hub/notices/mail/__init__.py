"""Notices by e-mail: what goes into a letter, when it is due, and sending it."""
