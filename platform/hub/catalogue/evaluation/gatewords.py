"""What gates say, for people: «Carol Clinic: −40.0 points (−61.5 to −18.2); at least −2.0»."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from hub.catalogue.models import GateResult
from hub.common.text import isolated

ALL = _noop("All test data")
TITLES: Mapping[str, str] = {  # where what the plan's form asks for is no heading
    "below_release_at_most": _noop("All together, beside the release"),
    "organisation_below_release_at_most": _noop("Each organisation, beside the release"),
    "tail_recall_at_least": _noop("Recall of the worst labels"),
    "forgotten_at_most": _noop("Forgotten of what the base model knew"),
    "accuracy_at_least": _noop("Accuracy"),
    "loss_at_most": _noop("Mean loss"),
}
SUBJECTS: Mapping[str, str] = {
    "tail_recall_at_least": _noop("The worst labels"),
    "forgotten_at_most": _noop("The probe set"),
}


def title_of(gate: str) -> str:
    """What it is about; its name where this hub knows it no more."""
    return _(TITLES[gate]) if gate in TITLES else gate.replace("_", " ")


def in_words(one: GateResult) -> str:
    """A whole sentence with the figures; needs `against`."""
    return f"{title_of(one.gate)}: {finding(one)}."


def finding(one: GateResult) -> str:
    """What was found, and what is asked for."""
    said = one.figures
    if said.get("value") is None:
        why = str(said["why"])
        return f"{why[:1].upper()}{why[1:]}"
    subject = isolated(said["who"]) or _(SUBJECTS.get(one.gate, ALL))
    return f"{subject}: {found_words(one)}; {bound_words(one)}"


def found_words(one: GateResult) -> str:
    """«−40.0 points against v3, between −61.5 and −18.2»."""
    said = one.figures
    value, lower, upper = (figure(said, name) for name in ("value", "lower", "upper"))
    told = {"value": value, "against": _against(one), "lower": lower, "upper": upper}
    return _("%(value)s%(against)s, between %(lower)s and %(upper)s") % told


def bound_words(one: GateResult) -> str:
    at_most = _("at most %(bound)s is asked for")
    said = _("at least %(bound)s is asked for") if one.figures["is_least"] else at_most
    return said % {"bound": figure(one.figures, "bound")}


def _against(one: GateResult) -> str:
    if not one.figures["is_change"]:
        return ""
    if one.gate == "forgotten_at_most":
        return _(" against the base model")
    if one.against is None:
        return _(" against the start of the run")
    return _(" against %(version)s") % {"version": one.against}


def figure(said: Mapping[str, Any], name: str) -> str:
    """«93.1%», «−1.3 points», «0.412»."""
    value = float(said[name])
    if not said["is_share"]:
        return f"{value:+.3f}".replace("-", "−") if said["is_change"] else f"{value:.3f}"
    if not said["is_change"]:
        return f"{value:.1%}"
    return _("%(change)s points") % {"change": f"{100 * value:+.1f}".replace("-", "−")}
