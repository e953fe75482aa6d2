"""Opening cases, answering them and deciding on them; the ledger tells of the first and last."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.languages import on_record
from hub.common.wakeups import wake
from hub.contributions.cases.selectors import cases_visible_to, may_decide, own_participations
from hub.contributions.errors import CaseDecided
from hub.contributions.models import Answer, Case, CaseKind, CaseState
from hub.federations.models import Participation
from hub.ledger.models import EntryType
from hub.ledger.services import append
from hub.runs.models import Round

MOST_LETTERS = 2000
Figures = Mapping[str, float | int | str]


@transaction.atomic
def open_case(
    *, current: Round, kind: CaseKind, participations: Sequence[UUID], figures: Figures
) -> Case:
    """Have people look at what a round showed; `current` comes with `run.federation`.

    There is one case of a kind about the same participations in a run. What a later round shows is
    added to it; the same round again, or a case that was dismissed, stays as it is.
    """
    run = current.run
    found, is_new = Case.objects.get_or_create(
        run=run,
        kind=kind,
        participations=sorted(participations, key=str),
        defaults={"federation": run.federation, "round": current},
    )
    case = Case.objects.select_for_update().get(pk=found.pk)
    if case.state == CaseState.DISMISSED or current.number in case.rounds:
        return case
    case.evidence = sorted(
        [*case.evidence, {"round": current.number, **figures}], key=lambda one: int(one["round"])
    )
    if is_new or current.number >= case.rounds[-1]:
        case.round = current
    case.save(update_fields=["evidence", "round"])
    if is_new:
        _tell_opened(case, current)
    return case


def _tell_opened(case: Case, current: Round) -> None:
    case.record("opened", data={**_words(case), "round": current.number})
    payload = {**_facts(case), "evidence": case.evidence}
    key = f"case:{case.pk}:opened"
    append(ledger=case.federation_id, type=EntryType.CASE_OPENED, key=key, payload=payload)
    wake(f"federation:{case.federation_id}")


def _facts(case: Case) -> dict[str, Any]:
    """What an entry of the ledger says: identifiers and figures."""
    return {
        "case": str(case.pk),
        "run": str(case.run_id),
        "round": str(case.round_id),
        "kind": case.kind,
        "participations": [str(one) for one in case.participations],
    }


@on_record()
def _words(case: Case) -> dict[str, str]:
    """What an event says: who, and about what."""
    places = Participation.objects.filter(pk__in=case.participations).select_related("organisation")
    names = sorted(place.organisation.name for place in places)
    return {
        "organisations": " and ".join(names),
        "about": case.get_kind_display(),
        "run": case.run.name,
    }


@transaction.atomic
def decide_case(*, user: User, case_id: UUID, uphold: bool, reason: str) -> Case:
    """Uphold or dismiss a case, with a reason. The same decision again changes nothing.

    Raises:
        NotFound: the case is not of one of the person's federations.
        Forbidden: it is not theirs to decide, or about their own organisation.
        CaseDecided: it has been decided otherwise.
    """
    case = _locked(user, case_id)
    if not may_decide(user, case):
        raise Forbidden(_("Owners of the lead decide; nobody does about their own organisation."))
    state = CaseState.UPHELD if uphold else CaseState.DISMISSED
    if case.state == state:
        return case
    if case.state != CaseState.OPEN:
        raise CaseDecided(_("it was %(state)s") % {"state": case.get_state_display()})
    said = _text(reason)
    case.move_to(
        state,
        actor=user.actor,
        reason=said[:500],
        decided_by=user,
        data=_words(case),
    )
    Case.objects.filter(pk=case.pk).update(reason=said)
    case.reason = said
    payload = {**_facts(case), "decision": state.value, "reason_sha256": _sha256(said)}
    key = f"case:{case.pk}:decided"
    append(ledger=case.federation_id, type=EntryType.CASE_DECIDED, key=key, payload=payload)
    wake(f"federation:{case.federation_id}")
    return case


@transaction.atomic
def answer_case(*, user: User, case_id: UUID, text: str) -> Case:
    """What an organisation says to a case about it; while the case is open, the last word stands.

    Raises:
        NotFound: the case is not of one of the person's federations.
        Forbidden: it is not about an organisation of theirs.
        CaseDecided: there is nothing to answer any more.
    """
    case = _locked(user, case_id)
    own = own_participations(user, case).first()
    if own is None:
        raise Forbidden(_("The organisations that a case is about answer it."))
    if case.state != CaseState.OPEN:
        raise CaseDecided(_("it was %(state)s") % {"state": case.get_state_display()})
    said = _text(text)
    _answer, is_new = Answer.objects.update_or_create(
        case=case, participation=own, defaults={"by": user, "text": said}
    )
    if is_new:
        data = {**_words(case), "organisation": own.organisation.name}
        case.record("answered", actor=user.actor, data=data)
    return case


def _locked(user: User, case_id: UUID) -> Case:
    visible = cases_visible_to(user).filter(pk=case_id)
    found = Case.objects.select_related("run").select_for_update(of=("self",))
    case = found.filter(pk__in=visible.values("pk")).first()
    if case is None:
        raise NotFound("no such case")
    return case


def _text(text: str) -> str:
    said = text.strip()
    if not said or len(said) > MOST_LETTERS:
        raise Invalid(
            _("say it in words, at most %(most)s letters") % {"most": f"{MOST_LETTERS:,}"}
        )
    return said


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
