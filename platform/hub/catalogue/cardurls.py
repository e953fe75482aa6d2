"""Where a version's card and key are read, and what takes it elsewhere is asked for."""

from __future__ import annotations

from django.urls import path

from hub.catalogue import keypages

card_patterns = [
    path(".well-known/foedus/model-keys.json", keypages.model_keys, name="model-keys"),
]
