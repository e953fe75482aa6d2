"""Pages of contributions and of the ledger; a file for each subject."""
