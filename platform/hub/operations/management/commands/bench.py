"""`manage.py bench`: what the hub itself costs, on this machine, now."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from hub.embedded.supervisor import Supervisor
from hub.operations.bench import (
    engine,
    fetching,
    ledger,
    polls,
    rounds,
    transfers,
    valuing,
    waiting,
)
from hub.operations.bench.machine import Meter
from hub.operations.bench.place import make_place
from hub.operations.bench.verifying import measure as measure_verifier
from hub.operations.processes import start_hub
from hub.operations.roles import as_owner
from hub.runs.models import Run

# agents x megabytes: how many rounds are measured, and the gate for one of them
ROWS = {"4x1": (20, 0.5), "10x1": (10, 0.5), "32x16": (3, 6.0), "10x100": (2, 8.0)}
RESULTS = settings.ROOT / ".foedus" / "bench"


class Command(BaseCommand):
    help = "Measure the hub: rounds without training, transfers, leases, polls, waiting agents."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--rows",
            default="4x1,10x1",
            help=f"of {', '.join(ROWS)}; all, or none (default 4x1,10x1)",
        )
        parser.add_argument("--strategy", default="stack_svd", choices=["stack_svd", "fedavg"])
        parser.add_argument(
            "--exported", type=int, default=1_000_000, help="entries that are checked; 0: none"
        )
        parser.add_argument("--megabytes", type=int, default=256, help="size of the transfers")
        parser.add_argument(
            "--model", type=int, default=1000, help="MB of a file fetched through /hf; 0: none"
        )
        parser.add_argument(
            "--engine",
            default=",".join(engine.USUAL),
            help=f"of {', '.join(engine.ROWS)}; all, or none (default {','.join(engine.USUAL)})",
        )
        parser.add_argument(
            "--players", type=int, default=8, help="of a round that is valued exactly; 0: none"
        )
        parser.add_argument(
            "--entries", type=int, default=1_000_000, help="of a ledger that proves; 0: none"
        )
        parser.add_argument("--waiting", type=int, default=1000, help="agents that wait; 0: none")

    def handle(self, *_: Any, **options: Any) -> None:
        names = _chosen(options["rows"], ROWS)
        engine_names = _chosen(options["engine"], engine.ROWS)
        call_command("migrate", verbosity=0)
        if Run.objects.exclude(federation__name__startswith="bench-").exists():
            raise CommandError("This hub is in use; measure in a FOEDUS_HOME of its own.")
        with Supervisor() as supervisor, tempfile.TemporaryDirectory() as folder:
            found = _measured(supervisor, Path(folder), names, options)
        if options["exported"]:
            found["verified"] = _verified(options["exported"])
        found["engine"] = _engine(engine_names)
        if options["entries"]:
            gates = {"gate_per_second": 200, "gate_p99_milliseconds": 20}
            found["ledger"] = asdict(ledger.measure(options["entries"])) | gates
        if options["players"]:
            found["values"] = _values(options["players"])
        _clear()
        _show(Console(highlight=False), found)
        print(f"Written to {_written(found)}")


def _chosen(text: str, known: Mapping[str, object]) -> list[str]:
    names = {"all": list(known), "none": []}.get(text, text.split(","))
    if unknown := set(names) - set(known):
        raise CommandError(f"{unknown.pop()!r} is none of {', '.join(known)}.")
    return names


def _engine(names: list[str]) -> list[dict[str, Any]]:
    """The engine by itself, when the hub is gone."""
    with tempfile.TemporaryDirectory(dir=settings.HOME) as folder:
        return [asdict(engine.measure(name, Path(folder))) for name in names]


def _values(players: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=settings.HOME) as folder:
        found = valuing.measure(Path(folder), players=players)
    return asdict(found) | {"gate_share": 0.7, "gate_growth_bytes": 32 << 20}


def _verified(entries: int) -> dict[str, Any]:
    """A whole ledger, checked by a member."""
    with tempfile.TemporaryDirectory(dir=settings.HOME) as folder:
        return asdict(measure_verifier(Path(folder), entries=entries)) | {"gate_seconds": 30}


def _measured(
    supervisor: Supervisor, folder: Path, names: list[str], options: dict[str, Any]
) -> dict[str, Any]:
    waiting.allow_connections(options["waiting"])
    url = start_hub(supervisor, port=0)
    settings.PUBLIC_URL = url
    meter = Meter(supervisor)
    idle = meter.rss_bytes()
    found: dict[str, Any] = {"at": datetime.now(UTC).isoformat(), "machine": _machine(), "rows": []}
    for name in names:
        agents, megabytes = map(int, name.split("x"))
        place = make_place(url=url, agents=agents, megabytes=megabytes, folder=folder)
        row = rounds.measure(
            place, meter, rounds=ROWS[name][0], strategy=options["strategy"], idle_bytes=idle
        )
        found["rows"].append({**asdict(row), "gate_seconds": ROWS[name][1]})
    alone = make_place(url=url, agents=1, megabytes=1, folder=folder)
    one = rounds.measure(alone, meter, rounds=20, strategy="fedavg", idle_bytes=idle)
    found["lease"] = {"milliseconds": one.lease_milliseconds, "gate_milliseconds": 100}
    found["polls"] = asdict(polls.measure(alone)) | {"gate_per_second": 250}
    large = make_place(url=url, agents=1, megabytes=options["megabytes"], folder=folder)
    moved = transfers.measure(large, supervisor, meter, folder)
    ratios = {"upload_ratio": moved.upload_ratio, "download_ratio": moved.download_ratio}
    found["transfer"] = asdict(moved) | ratios | {"gate_ratio": 0.7, "gate_web_rss_growth": 64}
    if options["model"]:
        found["model"] = _model(url, supervisor, meter, folder, options["model"])
    if options["waiting"]:
        many = make_place(url=url, agents=options["waiting"], megabytes=1, folder=folder)
        found["waiting"] = asdict(waiting.measure(many, meter)) | {"gate_idle_cores": 0.3}
    return found


def _model(
    url: str, supervisor: Supervisor, meter: Meter, folder: Path, megabytes: int
) -> dict[str, Any]:
    """A model fetched as the libraries of Hugging Face fetch it."""
    fetched = fetching.measure(url, supervisor, meter, folder, megabytes=megabytes)
    ratios = {"asgi_ratio": fetched.asgi_ratio, "sendfile_ratio": fetched.sendfile_ratio}
    return asdict(fetched) | ratios | {"gate_asgi_ratio": 0.7, "gate_web_rss_growth": 64}


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
    }


def _clear() -> None:
    """Leave nothing behind but the result: the next one begins with an empty hub."""
    with as_owner():
        call_command("flush", interactive=False, verbosity=0)
    for folder in (settings.BLOB_FOLDER, settings.UPLOAD_FOLDER, settings.HOME / "scratch"):
        shutil.rmtree(folder, ignore_errors=True)


def _written(found: dict[str, Any]) -> Path:
    RESULTS.mkdir(parents=True, exist_ok=True)
    file: Path = RESULTS / f"{found['at'][:19].replace(':', '')}.json"
    file.write_text(json.dumps(found, indent=2) + "\n")
    return file


def _show_verified(console: Console, found: dict[str, Any] | None) -> None:
    if found:
        console.print(
            f"Check of {found['entries']:,} entries    {found['seconds']:.0f} s on two cores, "
            f"{found['core_seconds']:.0f} core seconds, {found['peak_mib']} MiB (gate 30 s)"
        )


def _show(console: Console, found: dict[str, Any]) -> None:
    machine = found["machine"]
    console.print(
        f"\n{machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"load average {machine['load_average']:.1f}\n"
    )
    table = Table(title="A round without training", title_justify="left")
    for name in ("agents × MB", "strategy", "s/round", "slowest", "gate", "CPU s", "RSS over idle"):
        table.add_column(name, justify="left" if name == "strategy" else "right")
    for row in found["rows"]:
        table.add_row(
            f"{row['agents']} × {row['megabytes']}",
            row["strategy"],
            f"{row['round_seconds']:.2f}",
            f"{row['slowest_round']:.2f}",
            f"{row['gate_seconds']:.1f}",
            f"{row['cpu_seconds']:.2f}",
            f"{row['rss_over_idle']:.0f} MB",
        )
    console.print(table)
    lease, asked, moved = found["lease"], found["polls"], found["transfer"]
    console.print(
        f"Lease of a waiting agent   {lease['milliseconds']:.0f} ms (gate 100)\n"
        f"Signed polls               {asked['per_second']:.0f}/s, p99 "
        f"{asked['p99_milliseconds']:.0f} ms (gate 250/s)\n"
        f"Upload, {moved['megabytes']} MB            {moved['upload']:.0f} MB/s, bare server "
        f"{moved['bare_upload']:.0f}: {moved['upload_ratio']:.0%} (gate 70%)\n"
        f"Download                   {moved['download']:.0f} MB/s, bare server "
        f"{moved['bare_download']:.0f}: {moved['download_ratio']:.0%} (gate 70%)\n"
        f"Memory of the web process  +{moved['web_rss_growth']:.0f} MB meanwhile (gate 64)"
    )
    _show_verified(console, found.get("verified"))
    if model := found.get("model"):
        console.print(
            f"Model of {model['megabytes']} MB by /hf    {model['hub']:.0f} MB/s, bare ASGI "
            f"{model['asgi']:.0f}: {model['asgi_ratio']:.0%} (gate 70%), sendfile "
            f"{model['sendfile']:.0f}: {model['sendfile_ratio']:.0%}; "
            f"+{model['web_rss_growth']:.0f} MB in the web process (gate 64)"
        )
    if idle := found.get("waiting"):
        console.print(
            f"{idle['agents']} waiting agents       {idle['idle_cores']:.0%} of a core "
            f"(gate 30%), +{idle['web_rss_growth']:.0f} MB in the web process\n"
            f"A run's tasks reach half    {idle['median_seconds']:.1f} s, "
            f"all {idle['all_seconds']:.1f} s"
        )
    if told := found.get("ledger"):
        console.print(
            f"Entries of one ledger      {told['per_second']:.0f}/s by {told['writers']} at once "
            f"(gate 200/s)\n"
            f"Proof of one of {told['entries']:,}  {told['median_milliseconds']:.1f} ms, p99 "
            f"{told['p99_milliseconds']:.1f} ms (gate 20)"
        )
    if values := found.get("values"):
        console.print(
            f"Exact values of {values['players']} updates  {values['evaluations']} coalitions on "
            f"{values['examples']} examples in {values['seconds']:.0f} s, of which values "
            f"{values['bootstrap_seconds']:.2f} s\n"
            f"Coalitions                 {values['coalitions_per_second']:.2f} a second of a core, "
            f"plain evaluations {values['limit']:.2f}: {values['share']:.0%} (gate 70%), "
            f"+{values['growth_bytes'] / 1e6:.0f} MB meanwhile (gate 32 MiB)"
        )
    if found["engine"]:
        console.print(_engine_table(found["engine"]))


def _engine_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="The aggregation engine", title_justify="left")
    for name in ("method", "input", "evidence", "result", "GB/s", "limit", "share", "gate", "RSS"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['gigabytes']:.2f} GB",
            f"{row['evidence_seconds']:.2f} s",
            f"{row['seconds']:.2f} s",
            f"{row['gigabytes_per_second']:.2f}",
            f"{row['limit']:.2f}",
            f"{row['share']:.0%}",
            engine.gate(row["name"]),
            f"+{row['peak_bytes'] / 1e6:.0f} MB",
        )
    return table
