"""Checks what a hub gave out, on any machine, with no trust in that hub but its public key.

Of packages it needs `cryptography`. It imports nothing of Foedus, so it can be read and run alone.
"""
