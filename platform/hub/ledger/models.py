"""The log of a federation: entries in their order, the tree over them, and who has signed it."""
