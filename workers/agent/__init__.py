"""The participant's program: polls the hub over HTTPS, trains beside the data, sends updates."""

__version__ = "0.1.0"
