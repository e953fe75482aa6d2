"""The tree keeps its shape: what may lie where, and what may be imported by what at run time."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [ROOT / "platform", ROOT / "workers"]
MODULES = sorted(p for s in SOURCES for p in s.rglob("*.py"))
TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md",
    "docker", "docs", "frontend", "manage.py", "platform", "pyproject.toml", "requirements.txt",
    "tests", "workers",
}  # fmt: skip
LOADERS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "yaml"}


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout, so nothing says which files are ours")
    return listed.stdout.splitlines()


@pytest.mark.parametrize("folder", ["platform", "workers", "frontend", "docker"])
def test_source_roots_are_not_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_the_standard_library_keeps_its_platform_module() -> None:
    code = "import platform, sys; assert platform.python_version(), platform"
    done = subprocess.run([sys.executable, "manage.py", "version"], cwd=ROOT, check=False)
    assert done.returncode == 0
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_nothing_of_ours_bears_the_name_of_a_standard_module() -> None:
    packages = {p.name for s in SOURCES for p in s.rglob("*") if p.is_dir()}
    names = packages | {p.stem for p in MODULES}
    clashes = names & set(sys.stdlib_module_names) - {"__init__", "__main__"}
    assert clashes <= {"selectors"}  # every app has one; only ever imported by its full name


def test_only_the_agreed_things_lie_at_the_top() -> None:
    assert {Path(name).parts[0] for name in tracked()} <= TOP_LEVEL


def test_no_source_file_outgrows_four_hundred_lines() -> None:
    long = {
        str(p.relative_to(ROOT)): count
        for p in MODULES
        if "migrations" not in p.parts and (count := len(p.read_text().splitlines())) > 400
    }
    assert long == {}


def test_nothing_vendored_is_tracked() -> None:
    suspicious = [n for n in tracked() if ".min." in n or "node_modules" in n or "vendor/" in n]
    assert suspicious == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_loads_what_can_run_code(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {name.split(".")[0] for node in ast.walk(tree) for name in _imported_by(node)}
    assert not imported & LOADERS
    calls = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    assert not calls & {"eval", "exec", "torch.load"}


def _imported_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return []


@pytest.mark.parametrize("entry", ["hub.asgi", "jobs.app", "agent.cli", "federation.protocol"])
def test_who_needs_no_tensors_does_not_import_torch(entry: str) -> None:
    code = (
        f"import sys, {entry}\n"
        "heavy = {'torch', 'transformers', 'peft'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, SOURCES))}
    subprocess.run([sys.executable, "-P", "-c", code], env=env, check=True)
