"""Why an update was set aside, in sentences for the person who decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hub.common.templatetags.foedus import cosine, signed
from hub.runs.models import Update, UpdateState

Evidence = Mapping[str, Any]


def is_set_aside(update: Update) -> bool:
    """A person has to decide on it, or has decided."""
    return update.state == UpdateState.QUARANTINED or update.judged_by_id is not None


def sentence_of(update: Update) -> str:
    """The sign that the update shows, with its figures; or that there is none on record."""
    words = SENTENCES.get(update.evidence.get("sign", update.verdict_code), _unknown)
    return words(update.evidence)


def _outlier(found: Evidence) -> str:
    norm, usual = found.get("norm"), found.get("usual_norm")
    times = (
        f"{norm / usual:,.0f} times as far as usual" if norm and usual else "far more than usual"
    )
    return f"It moves the model {times}."


def _against(found: Evidence) -> str:
    towards = found.get("cosine_to_others")
    return (
        f"It points against the others (cosine {cosine(towards)}), "
        f"who agree with each other (cosine {cosine(found.get('agreement'))})."
    )


def _copied(found: Evidence) -> str:
    nearest = found.get("nearest", {})
    whose = nearest.get("organisation", "another organisation")
    return (
        f"It is nearly the same as the update of {whose}, which came first "
        f"(cosine {cosine(nearest.get('cosine'))})."
    )


def _worse(found: Evidence) -> str:
    change = found.get("probe", {}).get("change")
    usual = found.get("usual_loss_change")
    if change is None or usual is None:
        return "It makes the model worse on the public probe set."
    return (
        f"It makes the model worse on the public probe set (loss {signed(change)}), "
        f"where the others make it better ({signed(usual)} in the middle)."
    )


def _zero(_: Evidence) -> str:
    return "It changes nothing: what came back is what the round started from."


def _unknown(_: Evidence) -> str:
    return "It was set aside."


SENTENCES: Mapping[str, Callable[[Evidence], str]] = {
    "norm_outlier": _outlier,
    "against_others": _against,
    "copied_update": _copied,
    "suspect_zero": _zero,
    "worse_on_probe": _worse,
}
