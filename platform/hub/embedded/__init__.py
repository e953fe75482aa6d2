"""PostgreSQL, Redis and our own processes on one machine, with nothing installed but wheels."""
