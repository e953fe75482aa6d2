"""The demonstration: a whole federation on one machine, with data every installation carries."""
