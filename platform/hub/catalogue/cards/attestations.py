"""Where a version comes from, as a file of its own: an in-toto statement about its weights.

The signature over all files covers it, so whoever has the folder and the hub's public key can say
without the hub from which plan, base, parent and signed statements the weights came.
docs/models.md describes the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hub.catalogue.models import ModelVersion

LINEAGE: Final = "lineage.json"
SIGNATURE: Final = "model.sig"
WEIGHTS: Final = "adapter_model.safetensors"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:foedus:lineage:v1"


def lineage_of(version: ModelVersion, statements: Mapping[str, str]) -> dict[str, Any]:
    """The statement about a version of `with_origin`; `statements`: digests by id of update."""
    weights = version.files.get(path=WEIGHTS).artifact_id
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": WEIGHTS, "digest": {"sha256": weights}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "federation": version.federation.slug,
            "version": version.number,
            "is_baseline": version.is_baseline,
            "parent": _parent(version),
            **_made_by(version),
            "plan_sha256": version.plan_digest,
            "base_model": {
                "repo": version.base_model.repo,
                "revision": version.base_model.revision,
            },
            "aggregation": _aggregation(version),
            "contributors": [_contributor(one, statements) for one in version.contributors],
        },
    }


def _parent(version: ModelVersion) -> dict[str, Any] | None:
    """What it was trained from; None: a fresh adapter."""
    if (parent := version.parent) is None:
        return None
    return {
        "version": parent.number,
        "revision": parent.revision,
        "adapter_sha256": parent.adapter_id,
    }


def _made_by(version: ModelVersion) -> dict[str, Any]:
    made_by: Any = getattr(version, "round", None)
    if made_by is None:
        return {}
    return {
        "run": {"id": str(made_by.run_id), "number": made_by.run.number},
        "round": {"number": made_by.number, "start_sha256": made_by.start_id},
    }


def _aggregation(version: ModelVersion) -> dict[str, Any]:
    """The rule, and the digest of the state it left, which is the adapter or what it came from."""
    return {
        "method": version.plan.get("aggregation", {}),
        "state_sha256": version.adapter_id,
        "relative_error": version.report.get("relative_error"),
    }


def _contributor(one: Mapping[str, Any], statements: Mapping[str, str]) -> dict[str, Any]:
    return {
        "organisation": one["organisation"],
        "update_sha256": one["digest"],
        "statement_sha256": statements.get(str(one.get("update"))),
        "examples": one["examples"],
        "weight": one["weight"],
    }
