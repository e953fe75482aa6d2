"""The pages of the catalogue, a module for each subject."""
