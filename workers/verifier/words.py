"""What is told of a download that is as it was signed."""

from __future__ import annotations

import json

from verifier.folders import Verified


def as_json(found: Verified) -> str:
    return json.dumps({"files": dict(found.files), "lineage": found.lineage}, indent=2) + "\n"


def in_words(found: Verified) -> str:
    lineage = found.lineage
    parent, base = lineage["parent"], lineage["base_model"]
    lines = [
        f"{len(found.files)} files, all as they were signed.",
        f"{lineage['federation']}, version {lineage['version']}",
        f"  base model  {base['repo']} at {base['revision']}",
        f"  parent      {_parent(parent) if parent else 'none, a fresh adapter'}",
        f"  plan        {lineage['plan_sha256']}",
        *(f"  update      {_update(one)}" for one in lineage["contributors"]),
    ]
    return "\n".join(lines) + "\n"


def _parent(parent: dict[str, object]) -> str:
    return f"version {parent['version']}, weights {parent['adapter_sha256']}"


def _update(one: dict[str, object]) -> str:
    signed = one["statement_sha256"] or "none on record"
    return f"{one['organisation']}: {one['examples']} examples, signed statement {signed}"
