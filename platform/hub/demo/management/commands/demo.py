"""`manage.py demo`: a whole federation on this machine, from registration to the loaded model."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from hub.demo.agents import let_reference_go, start_agents
from hub.demo.corpus import CorpusRefused
from hub.demo.report import code, logins, results, show
from hub.demo.stories import Story, story_of
from hub.demo.story import (
    StoryFailed,
    accuracy,
    follow,
    last_round,
    outcome,
    start,
    start_comparisons,
)
from hub.demo.world import make_world
from hub.embedded.supervisor import Supervisor
from hub.operations.processes import only_hub, start_hub
from hub.runs.models import Purpose

# Rounds of seconds want news every second; real ones last minutes and are content with less.
LIVELY = {"HEARTBEAT_SECONDS": "1"}


class Command(BaseCommand):
    help = "Run a whole federation on this machine and open it in the browser."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--exit", action="store_true", help="stop when the model is there")
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE")
        parser.add_argument("--fast", action="store_true", help="a small story, for CI")
        parser.add_argument("--rounds", type=int, help="how many rounds")
        parser.add_argument("--port", type=int, default=8000, help="preferred port")
        parser.add_argument("--data", type=Path, metavar="FOLDER", help="train.csv and test.csv")
        parser.add_argument("--label", default="label", metavar="COLUMN")
        parser.add_argument("--orgs", type=int, default=4, metavar="N")
        parser.add_argument(
            "--split", default="iid", metavar="HOW", help="iid, dirichlet:0.5 or by:COLUMN"
        )
        parser.add_argument("--per-class", type=int, metavar="K", help="examples of each label")
        parser.add_argument("--seed", type=int, default=0)

    def handle(self, *_: Any, **options: Any) -> None:
        console = Console(highlight=False)
        try:
            with only_hub(), Supervisor() as supervisor:
                self._tell(console, supervisor, options)
        except (StoryFailed, CorpusRefused) as failed:
            raise CommandError(str(failed)) from failed
        except KeyboardInterrupt:
            console.print("\nStopped. `make demo` starts where this left off.")

    def _tell(self, console: Console, supervisor: Supervisor, options: dict[str, Any]) -> None:
        folder = Path(settings.HOME) / "demo"
        console.print("[bold]Foedus[/] — organisations that cannot share data train one model\n")
        console.print("Preparing the database and the data …")
        call_command("migrate", verbosity=0)
        story = story_of(options, folder / "data")
        world = make_world(name=story.name, slug=story.slug, corpus=story.corpus)
        url = start_hub(supervisor, port=options["port"], environment=LIVELY)
        began = time.monotonic()
        start_agents(supervisor, world, url=url, folder=folder / "agents" / story.slug)
        logins(console, url, world)

        run = start(
            world,
            story.plan,
            name=f"Together, {story.plan.rounds.count} rounds",
            purpose=Purpose.FEDERATED,
            trainers=world.places,
        )
        console.print(f"\nWatch it live: [bold]{url}/runs/{run.pk}[/]\n")
        show(console, "Together", follow([run]))
        run.refresh_from_db()
        together = outcome(world, run)
        seconds = time.monotonic() - began
        console.print(
            f"The model is there after {seconds:.0f} s: accuracy on the pooled test "
            f"{together.before:.3f} → [bold]{together.after:.3f}[/].\n"
            "Now each organisation alone, and all data in one place, to see what joining is worth."
        )
        alone, reference = start_comparisons(world, story.plan)
        show(console, "To compare", follow([*alone.values(), reference]))
        last = last_round(reference)
        whole = replace(
            together,
            alone={name: accuracy(one, last) for name, one in alone.items()},
            pooled=accuracy(reference, last),
        )
        let_reference_go(supervisor, world)
        results(console, world, whole)
        code(console, url, world, story.plan, whole)
        if options["json"]:
            _write(options["json"], story, whole, seconds)
        if not options["exit"]:
            console.print("\nThe hub stays up. Ctrl-C stops everything.")
            supervisor.run_until_stopped()


def _write(file: Path, story: Story, whole: Any, seconds: float) -> None:
    document = {
        "before": whole.before,
        "after": whole.after,
        "alone": whole.alone,
        "pooled": whole.pooled,
        "rounds": story.plan.rounds.count,
        "wall_seconds": round(seconds, 1),
        "version_digest": whole.version_digest,
    }
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
