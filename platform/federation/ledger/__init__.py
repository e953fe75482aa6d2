"""What anybody needs to hold a ledger to its word: its tree, its checkpoints and its entries.

No framework, no database, no tensors: the hub signs with it, agents check with it. The verifier
has a reading of its own and imports none of this.
"""
