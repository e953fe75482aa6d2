"""Credits: split when a run has ended, paid in two parts, corrected by more of them."""
