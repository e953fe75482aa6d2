"""All agents: which versions they are, whether we understand them, and who is silent."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from federation.negotiation import SKEW, NotUnderstood, Version, understood
from federation.protocol import PROTOCOL_VERSION
from hub.operations.pages.parts import Cell, Section, acts_of, link, moment, number, page_of
from hub.operations.selectors import SILENT_AFTER
from hub.organisations.models import Agent, AgentState

LEAD = (
    f"This hub speaks version {PROTOCOL_VERSION} of the protocol, and understands {SKEW} minor "
    "version more or less. Who is further away is refused before it can say its name: it is among "
    "the silent ones."
)


def sections(request: HttpRequest) -> Iterator[Section]:
    active = Agent.objects.filter(state=AgentState.ACTIVE)
    yield _versions(active)
    yield _agents(active, request)


def _versions(active: QuerySet[Agent]) -> Section:
    found = (
        active.order_by()
        .values_list("version", "protocol")
        .annotate(agents=Count("pk"), owners=Count("organisation", distinct=True))
        .order_by("-agents")
    )
    rows = [
        [Cell(version or "unknown"), compatibility(protocol), number(agents), number(owners)]
        for version, protocol, agents, owners in found
    ]
    return Section(
        "Versions",
        lead=LEAD,
        head=("Agent's version", "Protocol", "Agents", "Organisations"),
        rows=rows,
        empty="No agent has enrolled yet.",
    )


def compatibility(protocol: str) -> Cell:
    """What an agent speaks, and whether this hub goes on understanding it."""
    if not protocol:
        return Cell("not said yet", tone="neutral")
    try:
        understood(protocol)
    except NotUnderstood:
        return Cell(protocol, tone="negative", note="refused: upgrade it")
    ours, theirs = Version.of(PROTOCOL_VERSION), Version.of(protocol)
    if theirs == ours:
        return Cell(protocol, tone="positive", note="the same as ours")
    words = "older: still understood" if theirs < ours else "newer: upgrade the hub"
    return Cell(protocol, tone="attention", note=words)


def _agents(active: QuerySet[Agent], request: HttpRequest) -> Section:
    limit = timezone.now() - SILENT_AFTER
    agents = (
        active.select_related("organisation")
        .defer("federations", "policy")
        .order_by(F("last_seen_at").asc(nulls_first=True), "created_at")
    )
    page = page_of(agents, request)
    return Section(
        "Agents, the longest silent first",
        head=("Agent", "Organisation", "Seen", "Version", "Protocol", "Device", "Acts"),
        rows=[
            [
                link(one),
                link(one.organisation),
                Cell(at=one.last_seen_at, note="silent")
                if one.last_seen_at and one.last_seen_at < limit
                else moment(one.last_seen_at, "never"),
                Cell(one.version or "–"),
                compatibility(one.protocol),
                Cell(one.device or "–"),
                acts_of(one, request),
            ]
            for one in page
        ],
        empty="No agent has enrolled yet.",
        page=page,  # type: ignore[arg-type]  # a page of agents is one of objects
    )
