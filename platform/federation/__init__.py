"""The domain core of Foedus: plans, messages, tensors and models; no framework, no network."""
