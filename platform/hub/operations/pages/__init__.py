"""The console's own pages: facts about the hub at work, with the safe act beside each."""
