"""Gauges of our own, computed when somebody scrapes; requests are counted by django-prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from django.db.models import Count
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector

from hub.common.errors import DependencyDown
from hub.operations import machines, selectors
from hub.operations.troubles import TROUBLES, found_among
from hub.organisations.models import Organisation, OrganisationState
from hub.runs.models import Round, RoundState, Run, RunState, Task, TaskState, Update, UpdateState

Counted = type[Organisation] | type[Run] | type[Round] | type[Task] | type[Update]
STATES: tuple[tuple[Counted, Iterable[str]], ...] = (
    (Organisation, OrganisationState.values),
    (Run, RunState.values),
    (Round, RoundState.values),
    (Task, TaskState.values),
    (Update, UpdateState.values),
)


def exposition() -> bytes:
    """Everything in Prometheus' text format, of all web processes where there are several."""
    registry = CollectorRegistry()
    registry.register(HubCollector())
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
    return generate_latest(registry) + generate_latest(REGISTRY)


class HubCollector(Collector):
    def collect(self) -> Iterator[Gauge]:
        for model, states in STATES:
            yield by_state(model, states)
        yield stuck()
        yield from agents()
        yield from storage()
        yield from queues()


def by_state(model: Counted, states: Iterable[str]) -> Gauge:
    name = model._meta.model_name  # noqa: SLF001
    gauge = Gauge(f"foedus_{name}s", f"{name}s by state".capitalize(), labels=["state"])
    rows = model._default_manager.order_by().values_list("state").annotate(Count("pk"))  # noqa: SLF001
    counts = dict.fromkeys(states, 0) | dict(rows)
    for state, count in counts.items():
        gauge.add_metric([str(state)], count)
    return gauge


def stuck() -> Gauge:
    gauge = Gauge("foedus_stuck", "Rows that wait for longer than they should", labels=["what"])
    for found in found_among(TROUBLES):
        gauge.add_metric([found.trouble.name], found.count)
    return gauge


def agents() -> Iterator[Gauge]:
    fleet = selectors.fleet()
    yield Gauge("foedus_agents_active", "Agents that are not revoked", value=fleet.active)
    yield Gauge("foedus_agents_seen", "Agents seen in the last five minutes", value=fleet.seen)
    versions = Gauge("foedus_agents_by_version", "Active agents by version", labels=["version"])
    for version, count in fleet.versions:
        versions.add_metric([version], count)
    yield versions


def storage() -> Iterator[Gauge]:
    stored = selectors.stored()
    yield Gauge("foedus_artifacts", "Artifacts stored", value=stored.artifacts)
    yield Gauge("foedus_artifact_bytes", "Bytes of all artifacts", value=stored.bytes)
    yield Gauge("foedus_database_bytes", "Size of the database", value=selectors.database().bytes)
    if disk := machines.blob_disk():
        yield Gauge("foedus_blob_disk_free_bytes", "Free on the blobs' disk", value=disk.free_bytes)


def queues() -> Iterator[Gauge]:
    """Nothing while the broker is away: a gap in the curve says so."""
    try:
        lengths = machines.queue_lengths()
    except DependencyDown:
        return
    gauge = Gauge("foedus_queue_length", "Jobs that wait for a worker", labels=["queue"])
    for queue, length in lengths.items():
        gauge.add_metric([queue], length)
    yield gauge
