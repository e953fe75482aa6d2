"""What the hub itself costs: rounds without training, transfers, polls. `make bench`."""
