"""Cases about updates: how they are noticed, told, answered and decided."""
