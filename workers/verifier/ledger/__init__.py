"""Checks the export of a federation's ledger: what it says, and that each thing follows.

A reading of its own: nothing here is shared with the hub, so a mistake there is not repeated here.
"""
