"""Where a version's card and key are read, and what takes it elsewhere is asked for."""

from __future__ import annotations

from django.urls import path

from hub.catalogue import cardpages, keypages

card_patterns = [
    path(".well-known/foedus/model-keys.json", keypages.model_keys, name="model-keys"),
    path("versions/<uuid:pk>/card", cardpages.card, name="card"),
    path("versions/<uuid:pk>/archive", cardpages.archive, name="archive"),
    path("versions/<uuid:pk>/push", cardpages.push, name="push"),
]
