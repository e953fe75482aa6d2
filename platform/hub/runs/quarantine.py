"""Why an update was set aside, in sentences for the person who decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

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
    if not norm or not usual:
        return _("It moves the model far more than usual.")
    times = f"{norm / usual:,.0f}"
    return _("It moves the model %(times)s times as far as usual.") % {"times": times}


def _against(found: Evidence) -> str:
    towards = found.get("cosine_to_others")
    return _(
        "It points against the others (cosine %(towards)s), who agree with each other "
        "(cosine %(agreement)s)."
    ) % {"towards": cosine(towards), "agreement": cosine(found.get("agreement"))}


def _copied(found: Evidence) -> str:
    nearest = found.get("nearest", {})
    whose = nearest.get("organisation", _("another organisation"))
    return _(
        "It is nearly the same as the update of %(organisation)s, which came first "
        "(cosine %(cosine)s)."
    ) % {"organisation": whose, "cosine": cosine(nearest.get("cosine"))}


def _worse(found: Evidence) -> str:
    change = found.get("probe", {}).get("change")
    usual = found.get("usual_loss_change")
    if change is None or usual is None:
        return _("It makes the model worse on the public probe set.")
    return _(
        "It makes the model worse on the public probe set (loss %(change)s), where the others "
        "make it better (%(usual)s in the middle)."
    ) % {"change": signed(change), "usual": signed(usual)}


def _zero(_found: Evidence) -> str:
    return _("It changes nothing: what came back is what the round started from.")


def _unknown(_found: Evidence) -> str:
    return _("It was set aside.")


SENTENCES: Mapping[str, Callable[[Evidence], str]] = {
    "norm_outlier": _outlier,
    "against_others": _against,
    "copied_update": _copied,
    "suspect_zero": _zero,
    "worse_on_probe": _worse,
}
