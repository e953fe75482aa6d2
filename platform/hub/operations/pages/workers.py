"""Workers and beat: who lives, in which version, and what each is at."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest

from hub.common.context import VERSION
from hub.common.templatetags.foedus import ago, as_moment
from hub.operations.models import Process
from hub.operations.pages.parts import Cell, Section, moment, number

PROGRAMS = ("worker", "compute", "beat")
TONES = {"online": "positive", "silent": "negative", "stopped": "neutral"}


def sections(request: HttpRequest) -> Iterator[Section]:  # noqa: ARG001
    processes = list(Process.objects.order_by("program", "name"))
    absent = set(PROGRAMS) - {process.program for process in processes}
    rows = [_row(process) for process in processes]
    rows += [
        [Cell(name), Cell("never seen", tone="negative"), *[Cell("–")] * 7]
        for name in sorted(absent)
    ]
    yield Section(
        "Processes",
        lead="Each writes a sign of life every ten seconds, also while it computes. This page was "
        f"answered by version {VERSION}.",
        head=(
            "Name",
            "State",
            "Version",
            "Seen",
            "Started",
            "At work on",
            "Done",
            "Failed",
            "Dropped",
        ),
        rows=rows,
        is_attention=bool(absent) or any(one.state == "silent" for one in processes),
    )


def _row(process: Process) -> list[Cell]:
    other = process.version != VERSION
    return [
        Cell(process.name),
        Cell(process.state, tone=TONES[process.state]),
        Cell(process.version, note="another than this page's" if other else ""),
        moment(process.seen_at),
        moment(process.started_at),
        Cell("; ".join(_doing(process)) or "nothing"),
        number(process.done),
        number(process.failed),
        number(process.dropped),
    ]


def _doing(process: Process) -> Iterator[str]:
    for one in process.doing:
        yield f"{one['job']} {' '.join(one['about'])}, since {ago(as_moment(one['since']))}"
