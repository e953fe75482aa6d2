"""A bounded hunt in every run of the suite; `tests.fuzz.layout` hunts as long as one likes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.layout import FILES, check, good_files, mutated_files, odd_headers

ROOT = Path(__file__).parents[2]


@given(data=good_files())
def test_what_a_lawful_writer_writes_is_read(data):
    check(data)


@given(data=mutated_files())
def test_an_accident_is_refused_or_lawful(data):
    check(data)


@given(data=odd_headers())
def test_odd_headers_are_refused_or_lawful(data):
    check(data)


@given(data=FILES, path=st.just("update"))
def test_from_a_file_it_is_the_same(tmp_path_factory, data, path):
    check(data, tmp_path_factory.getbasetemp() / path)


def test_nothing_kills_a_process_of_two_gigabytes():
    """Headers of 16 MB among it; a process that asks for more is a MemoryError, and ends here."""
    command = [sys.executable, "-m", "tests.fuzz.layout", "--seconds", "3"]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PYTHONPATH": "platform:workers:.", "PATH": ""},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "nothing found" in ended.stdout
