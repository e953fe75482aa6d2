"""manage.py, the Makefile, the installation and the pytest plugin."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hub.embedded import install
from hub.embedded.environment import environment
from hub.embedded.errors import Unavailable
from tests.services import numbered

ROOT = Path(__file__).parents[3]
TELL = """
import json, os, platform, sys
from django.db import connection
from django.core.cache import cache

cache.set("answer", 42)
with connection.cursor() as cursor:
    cursor.execute("SELECT current_database()")
    database = cursor.fetchone()[0]
names = ("SECRET_KEY", "HUB_SIGNING_KEY", "PYTHONPATH", "FOEDUS_HOME")
facts = {"database": database, "answer": cache.get("answer"), "platform": platform.__file__}
print(json.dumps({**facts, "path": sys.path, **{name: os.environ[name] for name in names}}))
"""


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with no services in its environment, from another folder."""
    theirs = {"DATABASE_URL", "REDIS_URL", "BROKER_URL", "SECRET_KEY", "HUB_SIGNING_KEY"}
    clean = {name: text for name, text in os.environ.items() if name not in theirs}
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", env={**clean, **variables}
    )


def test_manage_brings_services_and_keeps_its_secrets(tmp_path: Path) -> None:
    home = tmp_path / "my data"
    first, second = (
        json.loads(manage("shell", "--no-imports", "-c", TELL, FOEDUS_HOME=str(home)).stdout)
        for _ in range(2)
    )
    assert first == second
    assert (first["database"], first["answer"], first["FOEDUS_HOME"]) == ("foedus", 42, str(home))
    assert first["platform"] == shutil.__file__.replace("shutil", "platform")
    assert str(ROOT) not in first["path"]
    assert first["PYTHONPATH"].split(os.pathsep)[:2] == [f"{ROOT}/platform", f"{ROOT}/workers"]
    modes = {stat.S_IMODE((home / f"{name}_key").stat().st_mode) for name in ("secret", "signing")}
    assert modes == {0o600}


def test_manage_tells_its_version_without_services() -> None:
    assert manage("version", FOEDUS_HOME="/proc/nowhere").stdout.startswith("5.2")


@pytest.mark.parametrize(
    ("variables", "advice"),
    [
        ({"DATABASE_URL": "postgres://db/foedus"}, "set DATABASE_URL, REDIS_URL and BROKER_URL"),
        ({"FOEDUS_HOME": "/proc/nowhere"}, "set FOEDUS_HOME to another folder"),
    ],
)
def test_manage_says_in_one_line_what_to_do(variables: dict[str, str], advice: str) -> None:
    done = manage("migrate", **variables)
    assert done.returncode == 1
    assert advice in done.stderr
    assert done.stderr.count("\n") == 1


def test_services_of_the_environment_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("DATABASE_URL_FILE", "/run/secrets/database_url")
    with environment(tmp_path / "data") as found:
        assert found == {}
    monkeypatch.delenv("REDIS_URL")
    with pytest.raises(Unavailable, match="DATABASE_URL is set alone"), environment(tmp_path):
        pass
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///tmp/foedus-1/redis.sock?db=0", "unix:///tmp/foedus-1/redis.sock?db=7"),
        ("redis+socket:///r.sock?virtual_host=1", "redis+socket:///r.sock?virtual_host=7"),
        ("redis://:secret@cache:6379/0", "redis://:secret@cache:6379/7"),
    ],
)
def test_parallel_tests_have_redis_databases_of_their_own(url: str, expected: str) -> None:
    assert numbered(url, 7) == expected


def test_a_step_is_done_again_only_for_other_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "VENV", tmp_path)
    monkeypatch.setattr(install, "PYTHON", Path(sys.executable))
    needed, done = tmp_path / "requirements.txt", []
    for requirements in ("django==5.2", "django==5.2", "django==5.3"):
        needed.write_text(requirements)
        install.once("product", lambda: done.append(needed.read_text()), needed)
    assert done == ["django==5.2", "django==5.3"]


def test_a_failed_step_is_not_taken_for_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "VENV", tmp_path)
    monkeypatch.setattr(install, "LOG", tmp_path / "install.log")
    failing = [sys.executable, "-c", "import sys; sys.exit('no route to the index')"]
    assert not install.run(*failing)
    with pytest.raises(SystemExit, match=r"(?s)no route to the index.*Try again"):
        install.once("product", lambda: install.fail("Try again."))
    assert not (tmp_path / "product.stamp").exists()


def test_make_says_what_there_is_and_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    make = [shutil.which("make") or "make", "-C", str(ROOT)]
    there = subprocess.run([*make, "help"], capture_output=True, text=True, check=True)
    assert "make demo" in there.stdout
    without = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    lacking = subprocess.run(
        [*make, "install"], env=without, capture_output=True, text=True, check=False
    )
    assert "Foedus needs Python 3.11 or 3.12: install it" in lacking.stderr
