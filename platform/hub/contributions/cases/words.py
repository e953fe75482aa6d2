"""What a case says, in words that accuse nobody: what was seen, and what it may honestly be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import gettext_noop as _noop

from hub.common.templatetags.foedus import cosine, number, signed
from hub.contributions.models import SUSPECT, TOGETHER, Case, CaseKind, CaseState

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Telling:
    """Of one kind of case: its title, what it looks like, and what it may honestly mean."""

    title: StrOrPromise
    looks: StrOrPromise
    honestly: StrOrPromise


TELLINGS: Mapping[str, Telling] = {
    CaseKind.ZERO_UPDATE: Telling(
        _lazy("An update that changes nothing"),
        _lazy("What came back is the state that the round started from, or next to it."),
        _lazy(
            "The site may have had no examples that fit, a learning rate of next to nothing, or a "
            "fault between training and sending."
        ),
    ),
    CaseKind.NOISE: Telling(
        _lazy("Updates that look like chance"),
        _lazy(
            "The updates have nothing to do with those of the others, with the result of the round "
            "before, or with what the same organisation sent then."
        ),
        _lazy(
            "Data unlike anybody else's can look so for some rounds; so can labels that were mixed "
            "up when they were read, or a learning rate that is far too high."
        ),
    ),
    CaseKind.STALE: Telling(
        _lazy("An update that looks like an earlier one"),
        _lazy(
            "The update is the same as one of an earlier round, or as what an earlier round made "
            "of all, or nearly."
        ),
        _lazy(
            "An agent that was set back to an older backup sends what it had sent before. Where "
            "training is slow and even, steps may resemble each other by themselves."
        ),
    ),
    CaseKind.EXACT_COPY: Telling(
        _lazy("The same bytes from two organisations"),
        _lazy("Two organisations sent exactly the same bytes; the second of them was refused."),
        _lazy(
            "Two agents may stand at one site with the same data by mistake, or one agent's folder "
            "may have been copied to the other."
        ),
    ),
    CaseKind.NEAR_COPY: Telling(
        _lazy("Updates that are nearly the same"),
        _lazy(
            "In several rounds the updates of both change the model almost alike, far more than "
            "those of the others."
        ),
        _lazy(
            "Two organisations with examples of the same narrow kind, or with the same examples, "
            "can look so without anybody having copied."
        ),
    ),
    CaseKind.SAME_DATA: Telling(
        _lazy("Two that look like one set of data"),
        _lazy(
            "In several rounds what is left of both updates, once all that the others explain is "
            "taken away, is nearly the same."
        ),
        _lazy(
            "Two hospitals with the same speciality can look so, and so can two that took their "
            "examples from the same public collection."
        ),
    ),
    CaseKind.INFLATED_COUNT: Telling(
        _lazy("More examples than were declared"),
        _lazy(
            "An update said that it was trained on more examples than the organisation has signed "
            "for. It was refused."
        ),
        _lazy("The data may have grown since they were declared. A new declaration puts it right."),
    ),
    CaseKind.CRAFTED: Telling(
        _lazy("Updates that go the others' way and help nobody"),
        _lazy(
            "The updates point where those of the others point, and by themselves make the model "
            "no better on the public probe set, where the others do."
        ),
        _lazy(
            "Far too many steps, or a learning rate that is too high, overshoot in the right "
            "direction."
        ),
    ),
}


def telling_of(case: Case) -> Telling:
    return TELLINGS[case.kind]


def follows(case: Case) -> str:
    """What the case does to values and credits as it stands."""
    if case.state == CaseState.DISMISSED:
        return _("The case was dismissed: it changes no value and no credit.")
    is_open = case.state == CaseState.OPEN
    if case.kind in TOGETHER and is_open:
        return _(
            "Both count as one while the case is open: what one of them is worth is shared "
            "between them, once."
        )
    if case.kind in TOGETHER:
        return _(
            "Both count as one from here on: what one of them is worth is shared between them, "
            "once."
        )
    if case.kind in SUSPECT and is_open:
        return _("The organisation's updates of this run count for nothing while the case is open.")
    if case.kind in SUSPECT:
        return _("The organisation's updates of this run count for nothing from here on.")
    return _("The update that said so was refused; nothing else follows.")


# Of each figure: what it is called, and how it is written.
FIGURES: Mapping[str, tuple[str, Any]] = {
    "cosine": (_noop("Cosine"), cosine),
    "usual_cosine": (_noop("Others in the middle"), cosine),
    "unexplained": (_noop("Unexplained by others"), cosine),
    "relation": (_noop("Largest cosine to anything known"), cosine),
    "usual_relation": (_noop("Others in the middle"), cosine),
    "norm": (_noop("Norm of the change"), number),
    "usual_norm": (_noop("Usual norm"), number),
    "earlier_round": (_noop("Like round"), str),
    "loss_change": (_noop("Loss by itself"), signed),
    "usual_loss_change": (_noop("Others in the middle"), signed),
    "examples": (_noop("Examples said"), number),
    "declared": (_noop("Examples declared"), number),
    "sha256": (_noop("Bytes"), lambda value: str(value)[:12]),
}
DRAWN = ("cosine", "unexplained", "relation", "norm", "loss_change")  # what a chart shows of them


def columns_of(case: Case) -> list[str]:
    """The names of the figures that its evidence has, in their order."""
    known = {name for one in case.evidence for name in one}
    return [name for name in FIGURES if name in known]


def rows_of(case: Case) -> list[tuple[int, list[str]]]:
    """By round, each figure as it is written."""
    names = columns_of(case)
    return [
        (one["round"], [FIGURES[name][1](one[name]) if name in one else "–" for name in names])
        for one in case.evidence
    ]


def titles_of(case: Case) -> list[str]:
    return [_(FIGURES[name][0]) for name in columns_of(case)]


def chart_of(case: Case) -> dict[str, Any] | None:
    """The figures by round as the chart component takes them, with what is usual beside them."""
    names = [name for name in columns_of(case) if name in DRAWN][:2]
    if not names or len(case.evidence) < 2:  # noqa: PLR2004 (a line has two ends)
        return None
    usual = [name for name in (f"usual_{one}" for one in names) if name in columns_of(case)]
    series = [_series(case.evidence, name, hue) for hue, name in enumerate([*names, *usual])]
    return {"labels": [str(one["round"]) for one in case.evidence], "series": series}


def _series(evidence: Sequence[Figures], name: str, hue: int) -> dict[str, Any]:
    found = {"name": _(FIGURES[name][0]), "values": [one.get(name) for one in evidence], "hue": hue}
    return {**found, "dashed": True} if name.startswith("usual") else found
