"""Celery consumers of the hub: thin, one module per subject."""
