"""Write what a run measured to TensorBoard or MLflow, through their own libraries."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from hub.runs.exporting import Figure, figures_of, settings_of
from hub.runs.models import Run

EXTRAS = {"tensorboard": "tensorboard", "mlflow": "mlflow-skinny"}
MOST_METRICS, MOST_PARAMS = 1000, 100  # that MLflow takes in one call
LONGEST_PARAM = 6000
TAG = "foedus.run"
Row = TypeVar("Row")


class Command(BaseCommand):
    help = "Write a run's losses and metrics to TensorBoard's event files, or to an MLflow server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("run", type=UUID, help="the run's id, as in its page's address")
        parser.add_argument(
            "--to",
            nargs=2,
            metavar=("TOOL", "WHERE"),
            required=True,
            help="`tensorboard FOLDER`, or `mlflow URI` of a tracking server or a database",
        )

    def handle(self, **options: Any) -> None:
        tool, where = options["to"]
        run = Run.objects.select_related("federation").filter(pk=options["run"]).first()
        if run is None:
            raise CommandError("there is no such run")
        if tool not in EXTRAS:
            raise CommandError(f"{tool} is none of {', '.join(EXTRAS)}")
        try:
            count = (to_tensorboard if tool == "tensorboard" else to_mlflow)(run, where)
        except ModuleNotFoundError as absent:
            raise CommandError(f"install it first: pip install {EXTRAS[tool]}") from absent
        self.stdout.write(f"{count} figures of {run.name} are in {where}")


def to_tensorboard(run: Run, folder: str) -> int:
    """One folder of event files for the run; written twice, TensorBoard draws one curve."""
    from tensorboard.summary import Writer  # noqa: PLC0415  (an extra)

    count = 0
    with closing(Writer(f"{folder}/{run.federation.slug}/run-{run.number}")) as writer:
        for figure in figures_of(run):
            moment = figure.at.timestamp()
            writer.add_scalar(figure.name, figure.value, figure.step, wall_time=moment)
            count += 1
    return count


def to_mlflow(run: Run, uri: str) -> int:
    """A run of the experiment that is called as the federation; one that is there already stays.

    Raises:
        CommandError: it is there.
    """
    from mlflow import MlflowClient  # noqa: PLC0415  (an extra)
    from mlflow.entities import Param, RunTag  # noqa: PLC0415

    client = MlflowClient(tracking_uri=uri)
    experiment = _experiment(client, run.federation.slug)
    if client.search_runs([experiment], f"tags.`{TAG}` = '{run.pk}'", max_results=1):
        raise CommandError(f"{run.name} is there already")
    made = client.create_run(
        experiment,
        run_name=run.name,
        start_time=_milliseconds(run.started_at or run.created_at),
        tags={TAG: str(run.pk), "foedus.plan_sha256": run.plan_digest},
    )
    settings = [Param(name, text[:LONGEST_PARAM]) for name, text in settings_of(run).items()]
    for some in _in_parts(settings, MOST_PARAMS):
        client.log_batch(made.info.run_id, params=some)
    count = 0
    for figures in _in_parts(figures_of(run), MOST_METRICS):
        client.log_batch(made.info.run_id, metrics=[_metric(figure) for figure in figures])
        count += len(figures)
    client.log_batch(made.info.run_id, tags=[RunTag("foedus.state", run.state)])
    client.set_terminated(made.info.run_id, end_time=_milliseconds(run.ended_at))
    return count


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _metric(figure: Figure) -> Any:
    from mlflow.entities import Metric  # noqa: PLC0415

    return Metric(figure.name, figure.value, _milliseconds(figure.at), figure.step)


def _milliseconds(moment: Any) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _in_parts(rows: Iterable[Row], most: int) -> Iterator[list[Row]]:
    source = iter(rows)
    while some := list(islice(source, most)):
        yield some
