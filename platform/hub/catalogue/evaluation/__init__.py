"""What adapters achieve: at the organisations, on probe sets, and before the gates of a plan."""
