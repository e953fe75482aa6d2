from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import environ
import psutil
import pytest

from hub.embedded.account import Account, nobody
from hub.embedded.errors import Unavailable
from hub.embedded.folder import Launcher, announce
from hub.embedded.postgres import answers as postgres_answers
from hub.embedded.postgres import postgres_for
from hub.embedded.processes import on_leash
from hub.embedded.redis import answers as redis_answers
from hub.embedded.services import remove, services
from tests.hub.embedded.machine import Launcher as Serving
from tests.hub.embedded.machine import (
    eventually,
    launcher,
    launching,
    query,
    servers_of,
    sockets_of,
)

ROOT = os.getuid() == 0
NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, of the ordinary user if there is one."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="foedus test ") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if ordinary_user()[:1] == ("setpriv",):
            os.chown(folder, 65534, 65534)
        yield folder


def ordinary_user() -> tuple[str, ...]:
    """Return what makes a command an ordinary user's, who can reach Python and these sources."""
    if not ROOT:
        return ()
    change = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
    same_python = [sys.executable, "-c", "import sys; print(sys.version)"]
    probe = subprocess.run([*change, *same_python], check=False, capture_output=True, text=True)
    return change if probe.stdout.strip() == sys.version else NAMESPACE


def test_a_folder_has_one_instance_that_its_launcher_ends(tmp_path: Path) -> None:
    folder = tmp_path / "a folder" / "with späces"
    with services(folder) as urls:
        query(urls, "CREATE TABLE promises AS SELECT 1 AS kept")
        with services(folder) as again, launcher(folder) as other:
            assert again == other.urls == urls
            assert other.end() == 0
        assert query(urls, "SHOW fsync") == [("on",)]
        assert redis_answers(sockets_of(urls))
        servers = servers_of(urls)
        assert set(servers) == {"postgres", "redis-server"}

    assert not any(server.is_running() for server in servers.values())
    assert not sockets_of(urls).exists()
    with services(folder) as later:
        assert query(later, "SELECT kept FROM promises") == [(1,)]
    remove(folder)
    assert not folder.exists()


def test_the_urls_are_what_the_settings_expect(tmp_path: Path) -> None:
    with services(tmp_path / "one") as urls, services(tmp_path / "two") as others:
        assert urls != others
        database = environ.Env.db_url_config(urls.database_url)
        with pytest.raises(Unavailable, match="in use"):
            remove(tmp_path / "one")
    assert database["HOST"] == str(sockets_of(urls))
    assert (database["NAME"], database["USER"]) == ("foedus", "foedus_hub")
    assert sockets_of(urls).parent == Path("/tmp")


def test_who_comes_at_the_same_moment_shares_one_instance(tmp_path: Path) -> None:
    with launching(tmp_path) as one, launching(tmp_path) as two:
        first, second = Serving(one), Serving(two)
        assert first.urls == second.urls
        assert (first.end(), second.end()) == (0, 0)


def test_a_killed_launcher_takes_its_servers_along(tmp_path: Path) -> None:
    with launcher(tmp_path) as first:
        query(first.urls, "CREATE TABLE promises AS SELECT 2 AS kept")
        servers = servers_of(first.urls).values()
        first.process.kill()
        eventually(lambda: not any(server.is_running() for server in servers))

    with services(tmp_path) as urls:
        assert query(urls, "SELECT kept FROM promises") == [(2,)]
    assert not sockets_of(first.urls).exists()


def test_killed_servers_come_back_with_all_they_promised(tmp_path: Path) -> None:
    with services(tmp_path) as urls:
        query(urls, "CREATE TABLE promises AS SELECT 3 AS kept")
        killed = servers_of(urls)
        for server in killed.values():
            server.kill()
        eventually(lambda: servers_of(urls).keys() == killed.keys())
        eventually(lambda: postgres_answers(sockets_of(urls)) and redis_answers(sockets_of(urls)))
        assert set(servers_of(urls).values()).isdisjoint(killed.values())
        assert query(urls, "SELECT kept FROM promises") == [(3,)]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has been served, and holds a table."""
    folder = tmp_path_factory.mktemp("used")
    with services(folder) as urls:
        query(urls, "CREATE TABLE promises AS SELECT 4 AS kept")
    return folder


def test_servers_without_a_launcher_are_ended_first(used: Path) -> None:
    sockets = used / "sockets"
    sockets.mkdir(mode=0o700)
    orphan = subprocess.Popen(postgres_for(used).command(sockets), stderr=subprocess.DEVNULL)
    eventually((used / "postgres" / "postmaster.pid").exists)
    announce(used, Launcher(pid=orphan.pid, started=0, sockets="/tmp/foedus-gone"))
    assert_serves(used)
    assert orphan.wait(timeout=5) == 0


def test_stale_and_torn_files_are_no_obstacle(used: Path) -> None:
    (used / "services.json").write_text('{"pid": 12')
    (used / "initdb-torn").mkdir()
    (used / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n{used / 'postgres'}\n")
    assert_serves(used)


def test_half_made_data_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "base").mkdir(parents=True)
    (tmp_path / "initdb-torn" / "base").mkdir(parents=True)
    with services(tmp_path) as urls:
        assert query(urls, "SELECT 1") == [(1,)]
    assert [path.name[:16] for path in tmp_path.glob("*-*")] == ["postgres-broken-"]


def test_data_of_another_version_is_refused(used: Path) -> None:
    version = used / "postgres" / "PG_VERSION"
    before = version.read_text()
    version.write_text("16\n")
    with pytest.raises(Unavailable, match="made by PostgreSQL 16"), services(used):
        pass
    version.write_text(before)
    assert_serves(used)


def test_an_ordinary_user_needs_nothing_else(open_folder: Path) -> None:
    with launcher(open_folder / "data", prefix=ordinary_user()) as user:
        servers = servers_of(user.urls)
        uids = {server.uids().real for server in servers.values()}
        assert uids == {psutil.Process(user.process.pid).uids().real}
        assert user.end() == 0
    assert not any(server.is_running() for server in servers.values())


def test_who_runs_it_may_change(open_folder: Path) -> None:
    for number, account in enumerate((None, *others(), None)):
        with services(open_folder, account=account) as urls:
            query(urls, f"CREATE TABLE promise_{number} AS SELECT 5 AS kept")
            assert query(urls, "SELECT kept FROM promise_0") == [(5,)]


def test_what_is_closed_to_others_is_served_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    folder = tmp_path / "closed" / "data"
    for account in others() or [None]:
        with services(folder, account=account) as urls:
            assert query(urls, "SELECT 1") == [(1,)]
        data = (folder / "postgres").resolve()
        remove(folder)
        assert not data.exists()


def test_programs_out_of_reach_are_copied(tmp_path: Path) -> None:
    programs = postgres_for(tmp_path).programs
    package = tmp_path / "closed" / programs.parents[1].name
    (tmp_path / "closed").mkdir(mode=0o700)
    shutil.copytree(programs.parents[1], package, ignore=shutil.ignore_patterns("pginstall"))
    shutil.copytree(f"{programs.parents[1]}.libs", f"{package}.libs")
    theirs = package / programs.relative_to(programs.parents[1])
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o755)
        for account in (Account(), *others()):
            found = account.programs(theirs, Path(place))
            command = on_leash([str(found / "postgres"), "-V"], death_signal=9, owner=account.owner)
            version = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
            assert "PostgreSQL" in version.stdout


def others() -> list[Account]:
    """Return whom root has beside the first choice; an ordinary user has nobody."""
    return [nobody()] if ROOT else []


def assert_serves(folder: Path) -> None:
    with services(folder) as urls:
        assert query(urls, "SELECT kept FROM promises") == [(4,)]
