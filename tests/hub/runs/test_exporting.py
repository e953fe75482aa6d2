"""A run's figures in the tools that people keep their experiments in, by their own libraries."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hub.runs.point_models import TrainingPoint
from tests.factories.catalogue import EvaluationFactory, VersionFactory
from tests.factories.runs import RoundFactory, RunFactory, TaskFactory

pytestmark = [
    pytest.mark.django_db,
    # Not ours: what these libraries say of themselves and of each other.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def run(federation, ada, blaise):
    """Two rounds, each evaluated by two organisations, with losses of one."""
    run = RunFactory(federation=federation, name="Tickets & bills")
    places = list(federation.participations.order_by("organisation__name"))
    for number in (1, 2):
        version = VersionFactory(federation=federation, report={"relative_error": 0.01 * number})
        current = RoundFactory(run=run, number=number, state="closed", version=version)
        for place, correct in zip(places, (60, 80), strict=True):
            EvaluationFactory(
                version=version,
                participation=place,
                run_id=run.pk,
                round_number=number,
                correct=correct + number,
            )
        task = TaskFactory(round=current, participation=places[0], state="completed")
        for step, loss in ((1, 0.9), (2, 0.7), (3, float("nan"))):
            TrainingPoint.objects.create(task=task, step=step, loss=loss / number)
    return run


def test_tensorboard_reads_what_was_written(run, ada, blaise, tmp_path, capsys):
    call_command("export_metrics", str(run.pk), "--to", "tensorboard", str(tmp_path / "board"))
    assert "figures of Tickets & bills" in capsys.readouterr().out
    read = EventAccumulator(
        str(tmp_path / "board" / run.federation.slug / "run-1"), size_guidance={"tensors": 0}
    ).Reload()
    series = {
        tag: [
            (event.step, round(event.tensor_proto.float_val[0], 4)) for event in read.Tensors(tag)
        ]
        for tag in read.Tags()["tensors"]
    }
    assert series["accuracy/all"] == [(1, 0.71), (2, 0.72)]
    assert series[f"accuracy/{blaise.organisation.slug}"] == [(1, 0.81), (2, 0.82)]
    steps = series[f"training_loss/{ada.organisation.slug}"]
    assert steps == [(1, 0.9), (2, 0.7), (4, 0.45), (5, 0.35)]
    assert series["aggregation/relative_error"] == [(1, 0.01), (2, 0.02)]


def test_mlflow_keeps_the_run_its_plan_and_its_metrics_once(run, federation, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    call_command("export_metrics", str(run.pk), "--to", "mlflow", uri)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(federation.slug)
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.data.params["adapter.rank"] == "8"
    assert kept.data.tags["foedus.run"] == str(run.pk)
    history = client.get_metric_history(kept.info.run_id, "accuracy/all")
    assert [(one.step, one.value) for one in history] == [(1, 0.71), (2, 0.72)]
    assert kept.info.status == "FINISHED"
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_metrics", str(run.pk), "--to", "mlflow", uri)


def test_what_cannot_be_is_said(run):
    with pytest.raises(CommandError, match="none of"):
        call_command("export_metrics", str(run.pk), "--to", "paper", "x")
    with pytest.raises(CommandError, match="no such run"):
        call_command("export_metrics", str(run.federation_id), "--to", "mlflow", "x")
