#!/usr/bin/env python3
"""Django's command line, on services of its own where the environment names none."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SOURCES = [str(ROOT / "platform"), str(ROOT / "workers")]
HOME = ROOT / ".foedus" / "data"
HOME_OF = {"bench": ROOT / ".foedus" / "bench" / "hub"}  # what is measured is no hub in use
REACH_NO_SERVICE = {"check", "help", "--help", "-h", "spectacular", "version", "--version"}


def main() -> None:
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        sys.exit("Foedus needs Python 3.11 or 3.12: run `make`, or use .foedus/venv/bin/python.")
    set_paths()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    try:
        import django  # noqa: F401
        import psycopg  # noqa: F401
    except ImportError as missing:
        sys.exit(f"{missing}: run `make install`, then .foedus/venv/bin/python manage.py …")
    run(sys.argv)


def set_paths() -> None:
    """Put the source roots on the path, for our children too, and take the repository off it."""
    sys.path[:] = SOURCES + [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    paths = SOURCES + [entry for entry in inherited if entry and entry not in SOURCES]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)


def run(arguments: list[str]) -> None:
    from django.core.management import execute_from_command_line

    from hub.embedded.environment import environment, offline_environment
    from hub.embedded.errors import Unavailable

    if arguments[1:2] == [] or arguments[1] in REACH_NO_SERVICE:
        os.environ.update(offline_environment())
        execute_from_command_line(arguments)
        return
    try:
        home = os.environ.get("FOEDUS_HOME") or HOME_OF.get(arguments[1], HOME)
        with environment(Path(home)) as found:
            os.environ.update(found)
            execute_from_command_line(arguments)
    except Unavailable as lack:
        sys.exit(str(lack))


if __name__ == "__main__":
    main()
