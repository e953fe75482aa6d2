"""Measuring how far two adapters are from each other."""

from __future__ import annotations

from dataclasses import asdict

from federation.layout import LayoutRefused
from hub.catalogue.blobs.storage import store
from hub.catalogue.models import Distance
from hub.catalogue.versions import distances


def measure_claimed(claimed: Distance) -> None:
    """Read both adapters module by module, and keep the products."""
    from federation.distances import Adapter, products

    ends = (
        Adapter(store().local_path(claimed.left_id), claimed.left_scale),
        Adapter(store().local_path(claimed.right_id), claimed.right_scale),
    )
    try:
        change, values = products(*ends)
    except LayoutRefused as refused:
        distances.fail_distance(distance_id=claimed.pk, code=refused.code, reason=refused.detail)
        return
    figures = {"change": asdict(change), "values": asdict(values)}
    distances.record_distance(distance_id=claimed.pk, figures=figures)
