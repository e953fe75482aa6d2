from __future__ import annotations


class Unavailable(Exception):
    """Something this machine lacks or a process that does not come up; says what to do."""
