"""What the demonstration says in the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from federation.plan import Plan
from hub.accounts.models import Scope
from hub.accounts.services import issue_token
from hub.catalogue.cards.recipes import loading_code
from hub.demo.story import Outcome, Progress
from hub.demo.world import OPERATOR, World


def logins(console: Console, url: str, world: World) -> None:
    """Where to look, and as whom. In plain lines, so that nothing is cut where one copies."""
    lead = world.places[0].organisation.name
    lines = (
        f"\nThe hub is at      {url}",
        f"The console is at  {url}/console/",
        f"\nSign in as {lead}, who leads:",
        f"  {world.lead.email}   {world.password}",
        "Sign in as the operator:",
        f"  {OPERATOR}   {world.password}",
    )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def show(console: Console, title: str, steps: Iterable[Progress]) -> None:
    """A progress bar that ends with its runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console) as bar:
        line = bar.add_task(title, total=None)
        for step in steps:
            bar.update(
                line,
                description=f"{title} · {step.sentence}",
                completed=step.done,
                total=step.total,
            )


def results(console: Console, world: World, found: Outcome) -> None:
    """Organisation by organisation: alone → together."""
    table = Table(title="\nAccuracy on the pooled test", title_justify="left")
    table.add_column("organisation")
    for heading in ("examples", "alone", "together"):
        table.add_column(heading, justify="right")
    for place in world.places:
        name = place.data.name
        table.add_row(
            name,
            str(place.data.train_examples),
            f"{found.alone[name]:.3f}",
            f"[bold]{found.after:.3f}[/]",
        )
    mean = fmean(found.alone.values())
    table.add_section()
    table.add_row("mean, or all", "", f"{mean:.3f}", f"[bold]{found.after:.3f}[/]")
    console.print(table)
    console.print(
        f"Before anybody trained {found.before:.3f}; with all data in one place "
        f"{found.pooled:.3f}.\nTogether is {found.after / max(mean, 1e-9):.1f} × alone and "
        f"{found.after / max(found.pooled or 0.0, 1e-9):.0%} of pooled."
    )


def code(console: Console, url: str, world: World, plan: Plan, found: Outcome) -> None:
    """The lines that load the result, with stock libraries; whole, so that they can be copied."""
    _, token = issue_token(user=world.lead, name="demo", days=1, scope=Scope.READ)
    version = world.federation.versions.get(number=found.version)
    console.print("\nUse it anywhere, with transformers and peft as they are:\n")
    lines = loading_code(version, plan, hub=url, token=token)
    console.print(lines, markup=False, highlight=False, soft_wrap=True)
