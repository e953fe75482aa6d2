"""What gates say, for people: «Carol Clinic: −40.0 points (−61.5 to −18.2); at least −2.0»."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.catalogue.models import GateResult
from hub.common.text import isolated

ALL = "All test data"
TITLES: Mapping[str, str] = {  # where what the plan's form asks for is no heading
    "below_release_at_most": "All together, beside the release",
    "organisation_below_release_at_most": "Each organisation, beside the release",
    "tail_recall_at_least": "Recall of the worst labels",
    "forgotten_at_most": "Forgotten of what the base model knew",
    "accuracy_at_least": "Accuracy",
    "loss_at_most": "Mean loss",
}
SUBJECTS: Mapping[str, str] = {
    "tail_recall_at_least": "The worst labels",
    "forgotten_at_most": "The probe set",
}


def title_of(gate: str) -> str:
    """What it is about; its name where this hub knows it no more."""
    return TITLES.get(gate, gate.replace("_", " "))


def in_words(one: GateResult) -> str:
    """A whole sentence with the figures; needs `against`."""
    return f"{title_of(one.gate)}: {finding(one)}."


def finding(one: GateResult) -> str:
    """What was found, and what is asked for."""
    said = one.figures
    if said.get("value") is None:
        why = str(said["why"])
        return f"{why[:1].upper()}{why[1:]}"
    subject = isolated(said["who"]) or SUBJECTS.get(one.gate, ALL)
    return f"{subject}: {found_words(one)}; {bound_words(one)}"


def found_words(one: GateResult) -> str:
    """«−40.0 points against v3, between −61.5 and −18.2»."""
    said = one.figures
    value, lower, upper = (figure(said, name) for name in ("value", "lower", "upper"))
    return f"{value}{_against(one)}, between {lower} and {upper}"


def bound_words(one: GateResult) -> str:
    side = "at least" if one.figures["is_least"] else "at most"
    return f"{side} {figure(one.figures, 'bound')} is asked for"


def _against(one: GateResult) -> str:
    if not one.figures["is_change"]:
        return ""
    if one.gate == "forgotten_at_most":
        return " against the base model"
    return f" against {one.against or 'the start of the run'}"


def figure(said: Mapping[str, Any], name: str) -> str:
    """«93.1%», «−1.3 points», «0.412»."""
    value = float(said[name])
    if not said["is_share"]:
        return f"{value:+.3f}".replace("-", "−") if said["is_change"] else f"{value:.3f}"
    if not said["is_change"]:
        return f"{value:.1%}"
    return f"{100 * value:+.1f} points".replace("-", "−")
