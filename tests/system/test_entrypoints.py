"""The images' entrypoints, as plain processes against real services."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
import yaml

from tests.agent import tiny
from tests.system.installation import ENTRYPOINTS, ROOT, SERVERS, Browser, Installation, installed
from tests.system.outsiders import told
from tests.system.processes import wait_until
from tests.system.settled import settle

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("_servers")]
OPERATOR = "you@example.org"  # as in the guide
PAST_LOGGERS = {"worker: Warm shutdown (MainProcess)"}  # Celery says so from a signal handler


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("installation")) as installation:
        yield installation


@pytest.fixture(scope="module")
def _servers(installation: Installation) -> None:
    """Every server started as its container would be, after what comes first."""
    start_all(installation)


def start_all(installation: Installation) -> None:
    prepared = installation.run("prepare")
    assert prepared.returncode == 0, prepared.stderr
    for name in SERVERS:
        installation.start(name)
    wait_until(lambda: installation.run("healthy").returncode == 0, every=0.5, what="not ready")


def stop_all(installation: Installation) -> None:
    for name in reversed(SERVERS):
        assert installation.stop(name) in {0, -15}, name
    assert installation.run("healthy").returncode != 0


@pytest.fixture(scope="module")
def olga(installation: Installation, _servers: None) -> Iterator[Browser]:
    """An operator, made by the command of the guide."""
    password = re.search(r"shown only now: (\S+)", installation.follow("operator"))
    assert password
    browser = Browser(installation.url)
    browser.sign_in(OPERATOR, password[1])
    yield browser
    browser.http.close()


def manage(installation: Installation, *arguments: str) -> str:
    ran = subprocess.run(
        ["python", ROOT / "manage.py", *arguments],
        env=installation.environment,
        cwd=installation.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_it_is_ready_and_everything_is_migrated(installation: Installation) -> None:
    answer = httpx.get(f"{installation.url}/readyz")
    assert answer.json()["checks"] == {"database": "ok", "migrations": "ok", "redis": "ok"}
    with installation.database() as database:
        (count,) = database.execute("SELECT count(*) FROM django_migrations").fetchone() or (0,)
    assert count > 30


def test_a_stranger_gets_a_problem_document(installation: Installation) -> None:
    answer = httpx.get(f"{installation.url}/api/v1/organisations")
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_operator_signs_in_to_the_console(olga: Browser) -> None:
    page = olga.http.get("/console/")
    assert page.status_code == 200
    assert "What is wrong now" in page.text


def test_pages_have_their_styles(installation: Installation) -> None:
    styles = httpx.get(f"{installation.url}/static/css/foedus.css")
    assert styles.status_code == 200
    assert styles.headers["Content-Type"].startswith("text/css")


def test_blobs_lie_in_the_bucket(installation: Installation, tmp_path: Path) -> None:
    base = tiny.make_base(tmp_path / "base")
    said = ["--slug", "tiny", "--name", "Tiny", "--licence", "Apache-2.0"]
    manage(installation, "register_base_model", str(base), *said)
    with installation.database() as database:
        rows = database.execute("SELECT sha256 FROM catalogue_artifact").fetchall()
    store = boto3.client(
        "s3",
        endpoint_url=installation.environment["BLOB_ENDPOINT"],
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    kept = {
        entry["Key"].replace("/", "")
        for entry in store.list_objects_v2(Bucket="foedus")["Contents"]
    }
    assert kept == {digest for (digest,) in rows}


def test_the_clock_has_the_worker_send_what_was_not_sent(installation: Installation) -> None:
    with installation.database() as database:
        database.execute(
            "INSERT INTO common_outboxmessage (job, arguments, created_at)"
            """ VALUES ('compute.aggregate_round', '["00000000-0000-0000-0000-000000000000"]', now())"""
        )

        def all_sent() -> bool:
            unsent = "SELECT FROM common_outboxmessage WHERE sent_at IS NULL"
            return not database.execute(unsent).rowcount

        wait_until(all_sent, seconds=30, what="nobody sends")
    log = installation.log("compute")
    told = '"job": "compute.aggregate_round"'
    wait_until(lambda: told in log.read_text(), seconds=30, what="nobody takes the job")


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_the_health_checks_of_the_compose_file_pass(name: str, installation: Installation) -> None:
    compose = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    kind, command = compose["services"][name]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    host = subprocess.check_output(["uname", "-n"], text=True).strip()
    ran = subprocess.run(
        ["sh", "-c", command.replace("$$", "$")],
        env={**installation.environment, "HOSTNAME": host},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_figures_need_the_token(installation: Installation) -> None:
    assert httpx.get(f"{installation.url}/metrics").status_code == 401
    token = installation.environment_file("METRICS_TOKEN")
    answer = httpx.get(f"{installation.url}/metrics", headers={"Authorization": f"Bearer {token}"})
    assert "foedus_queue_length" in answer.text


def test_an_agent_enrols_and_works(installation: Installation, olga: Browser) -> None:
    organisation = olga.call("/organisations", {"name": "Ada Institute"})
    code = olga.call(f"/organisations/{organisation['id']}/enrolment-codes", {})["code"]
    (installation.folder / "code").write_text(code)
    home = installation.folder / "agent"
    unsaid = installation.run("agent", FOEDUS_AGENT_HOME=str(home))
    assert unsaid.returncode != 0
    assert "hub.example.org" in unsaid.stderr
    installation.start(
        "agent",
        FOEDUS_AGENT_HOME=str(home),
        FOEDUS_HUB_URL=installation.url,
        FOEDUS_ENROLMENT_CODE_FILE=str(installation.folder / "code"),
        FOEDUS_AGENT_NAME="vault-1",
        FOEDUS_AGENT_DEVICE="cpu",
    )

    def is_seen() -> bool:
        agents = olga.http.get("/api/v1/agents").json()["results"]
        return any(agent["last_seen_at"] for agent in agents)

    wait_until(is_seen, seconds=60, every=0.5, what="the agent does not call")
    assert installation.stop("agent") == 0


# All there is to a download: once, again, and by another name.
FETCH = """
import hashlib, json, sys
from pathlib import Path
from huggingface_hub import hf_hub_download

weights = [
    Path(hf_hub_download(sys.argv[1], "adapter_model.safetensors", revision=revision)).read_bytes()
    for revision in ("v1", "v1", "latest")
]
print(json.dumps([hashlib.sha256(content).hexdigest() for content in weights]))
"""


def test_a_version_is_fetched_past_the_hub_and_goes_on_where_the_line_was_cut(
    installation: Installation, olga: Browser, wide: Path, tmp_path: Path
) -> None:
    said = ["--slug", "wide", "--name", "Wide", "--licence", "Apache-2.0"]
    manage(installation, "register_base_model", str(wide), *said)
    settled = settle(installation, olga, base="wide")
    version = settled.run(megabytes=12)
    assert installation.stop("agent") == 0
    (weights,) = (f for f in version["files"] if f["path"] == "adapter_model.safetensors")
    bucket = installation.bucket
    bucket.seen.clear()
    bucket.cuts.append(11 << 20)
    repo = f"{settled.federation['slug']}/adapter"
    read = told(FETCH, repo, url=installation.url, token=settled.token(), home=tmp_path)
    assert read == [weights["sha256"]] * 3
    ranges = [request.get("RANGE") for request in bucket.links()]
    assert ranges == [None, f"bytes={10 << 20}-"]  # what came whole, in blocks of the library's


def test_there_is_an_entrypoint_for_each_server() -> None:
    assert {path.stem for path in ENTRYPOINTS.glob("*.sh")} == {
        *SERVERS,
        "agent",
        "healthy",
        "prepare",
    }


def test_unsafe_settings_stop_the_start(installation: Installation) -> None:
    refused = installation.run("prepare", PUBLIC_URL="http://hub.example.org")
    assert refused.returncode != 0
    assert "must be https" in refused.stderr


def test_it_ends_when_asked_and_a_backup_brings_everything_back(
    installation: Installation, olga: Browser
) -> None:
    olga.call("/organisations", {"name": "Before"})
    installation.follow("backup")
    olga.call("/organisations", {"name": "After"})
    stop_all(installation)
    installation.follow("restore")
    assert "artifacts are there" in installation.follow("verify")
    start_all(installation)
    names = {o["name"] for o in olga.http.get("/api/v1/organisations").json()["results"]}
    assert "Before" in names
    assert "After" not in names


def test_what_is_logged_is_json(installation: Installation) -> None:
    for name in SERVERS:
        lines = installation.log(name).read_text().splitlines()
        assert lines or name == "beat", f"{name} has logged nothing"
        for line in filter(None, lines):
            assert line in PAST_LOGGERS or {"event", "level", "timestamp"} <= set(json.loads(line))
