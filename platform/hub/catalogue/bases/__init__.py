"""Base models: how they come in, what is said of them, and whose licence has been accepted."""
