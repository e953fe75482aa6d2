"""The commands of docs/operating.md that begin and end maintenance do so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from django.core.management import call_command

from hub.common import switches
from hub.common.models import Event

GUIDE = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()
BLOCK = re.compile(r"<!-- test: maintenance -->\n```sh\n(.*?)```", re.DOTALL)


def test_the_guide_s_commands_begin_and_end_maintenance(db: None) -> None:
    begin, end = BLOCK.findall(GUIDE)[0].splitlines()
    for command, is_on in ((begin, True), (begin, True), (end, False), (end, False)):
        call_command(*shlex.split(command.partition("manage.py ")[2]))
        assert switches.present().is_in_maintenance == is_on
    assert [event.kind for event in Event.objects.order_by("pk")] == [
        "hub.maintenance_begun",
        "hub.maintenance_ended",
    ]
    assert Event.objects.earliest("pk").data["note"] == "The hub is upgraded."


def test_every_page_of_the_console_is_in_the_guide() -> None:
    from hub.operations.appearance import AT_WORK

    assert [title for _, title, _ in AT_WORK if f"| *{title}* |" not in GUIDE] == []
