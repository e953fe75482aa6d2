"""What docs/models.md says of checking a version and taking it elsewhere, done as it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import close_session

from hub.catalogue.cards.attestations import PREDICATE_TYPE
from hub.catalogue.cards.records import statement_digests
from hub.catalogue.models import ModelVersion
from hub.catalogue.versions.commits import newest_commit
from hub.catalogue.versions.lines import with_origin
from jobs.describing import describe
from tests.api.live import live_hub
from tests.factories.catalogue import VersionFactory
from tests.factories.federations import FederationFactory
from tests.factories.runs import PLAN

ROOT = Path(__file__).parents[2]
HANDBOOK = (ROOT / "docs" / "models.md").read_text()
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


def section(title: str) -> str:
    found = re.search(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", HANDBOOK, re.DOTALL | re.MULTILINE
    )
    assert found, title
    return found[1]


@pytest.fixture
def version(ada):
    made = VersionFactory(
        federation=FederationFactory(lead=ada.organisation, slug="coast"),
        plan=PLAN.model_dump(mode="json"),
        plan_digest=PLAN.digest(),
        files={"README.md": b"soon", "adapter_config.json": b"{}"},
    )
    describe(made.pk)
    return made


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    programs = Path(sys.executable).parent
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    known = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT / "workers"), **variables}
    return subprocess.run(
        ["sh", "-euc", script],
        env=known,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_download_is_checked_as_the_handbook_says(version, ada, tmp_path):
    (block,) = re.findall(r"```sh\n(.*?)```", section("Is it the one?"), re.DOTALL)
    block = block.replace("foedus-verify", f"{sys.executable} -m verifier")
    token = ada.api._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    with live_hub() as hub:
        script = block.replace("https://hub.example.org", hub.url)
        known = {"HF_ENDPOINT": f"{hub.url}/hf", "HF_TOKEN": token}
        done = shell(script, tmp_path, **known)
        assert done.returncode == 0, done.stderr
        assert "files, all as they were signed" in done.stdout
        (tmp_path / "coast-v1" / "README.md").write_text("other words")
        check = script.splitlines()[-1]
        wrong = shell(check, tmp_path, **known)
        assert (wrong.returncode, wrong.stderr) == (1, "README.md: not the file that was signed\n")
    close_session()


def test_the_handbook_names_every_field_of_the_lineage(version):
    from hub.catalogue.cards.attestations import lineage_of

    found = with_origin(ModelVersion.objects.filter(pk=version.pk)).get()
    statement = lineage_of(found, statement_digests(found))
    assert PREDICATE_TYPE in section("Is it the one?")
    for name in statement["predicate"]:
        assert f"`{name}`" in section("Is it the one?"), name
    commit = newest_commit(version)
    assert commit is not None
    assert commit.number == 2


@pytest.mark.parametrize("command", re.findall(r"manage\.py (\w+)", section("Take it elsewhere")))
def test_the_commands_exist(command):
    from django.core.management import get_commands

    assert command in get_commands()
