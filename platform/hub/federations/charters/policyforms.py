"""The form of a policy: founded with, or proposed as a change."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import gettext_noop as _noop

from hub.accounts.models import User
from hub.common.errors import Invalid
from hub.federations.charters.agreeing import agreed_columns, agreed_in, policy_of
from hub.federations.charters.policywords import (
    JOINING,
    MAJORITIES,
    STRATEGIES,
    VALUATIONS,
    in_words,
)
from hub.federations.models import Federation
from hub.federations.policies import LARGEST_UPDATES, LONGEST_PERIOD_DAYS, LONGEST_VOTE_DAYS, Policy
from hub.federations.proposals.kinds import kinds

MEGABYTE = 2**20
# What the wizard suggests: the members decide together, and nobody is alone in a result.
SUGGESTED = Policy(minimum_participants=2, may_attribute=False)
SUGGESTED_UPDATE_BYTES = 2**30
SECTIONS = (
    (_noop("Joining"), _noop("Who may come in, and how."), ("join", "is_listed")),
    (
        _noop("Runs"),
        _noop("What every run keeps to. The hub refuses a run that does not."),
        (
            "minimum_participants",
            "strategies",
            "must_commit",
            "may_attribute",
            "valuation",
            "largest_update_megabytes",
        ),
    ),
    (
        _noop("Decisions"),
        _noop("What is decided by all, and how. The lead has one voice like the others."),
        (
            "led",
            "credits_without_vote",
            "credits_in_period",
            "period_days",
            "quorum_percent",
            "majority",
            "days",
        ),
    ),
)


class PolicyForm(forms.Form):
    """Every rule that members can agree on, with what it means and why it is suggested."""

    join = forms.ChoiceField(
        label=_lazy("How an organisation joins"),
        choices=[(name, _lazy(words)) for name, words in JOINING.items()],
        widget=forms.RadioSelect,
        help_text=_lazy("Suggested: by request, so that somebody looks at each newcomer."),
    )
    is_listed = forms.BooleanField(
        label=_lazy("Listed: every approved organisation on this hub finds it"),
        required=False,
        help_text=_lazy("Unlisted, only members and whom they invite know that it is there."),
    )
    minimum_participants = forms.IntegerField(
        label=_lazy("Organisations in a run, at least"),
        min_value=1,
        max_value=1000,
        help_text=_lazy(
            "So many train in every run, and no round has a result with fewer updates. "
            "Suggested: 2, so that no version shows what one organisation learnt by itself."
        ),
    )
    strategies = forms.MultipleChoiceField(
        label=_lazy("Methods by which updates are combined"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_lazy("Suggested: none chosen, so that each run takes what fits it."),
    )
    must_commit = forms.BooleanField(
        label=_lazy("Organisations commit to an update before any is sent"),
        required=False,
        help_text=_lazy(
            "Then nobody can copy another's update. It takes each round a little longer. "
            "Suggested where credits are worth something."
        ),
    )
    may_attribute = forms.BooleanField(
        label=_lazy("Runs may let members tell single updates apart"),
        required=False,
        help_text=_lazy(
            "Members could then check how each update was weighed, and study each other's. "
            "Suggested: no."
        ),
    )
    valuation = forms.MultipleChoiceField(
        label=_lazy("Methods by which contributions are valued"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_lazy(
            "With one or more chosen, every run has to value contributions by one of them. "
            "Suggested: none chosen, so that a run may do without."
        ),
    )
    largest_update_megabytes = forms.IntegerField(
        label=_lazy("Largest update, in MiB"),
        min_value=LARGEST_UPDATES[0] // MEGABYTE,
        max_value=LARGEST_UPDATES[1] // MEGABYTE,
        help_text=_lazy(
            "A larger one is refused. Adapters have a few MiB, whole models up to thousands. "
            "Suggested: 1024."
        ),
    )
    led = forms.MultipleChoiceField(
        label=_lazy("What the lead decides alone"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_lazy("On everything else the members vote. Suggested: nothing."),
    )
    credits_without_vote = forms.IntegerField(
        label=_lazy("Credits that a run may split without a vote"),
        required=False,
        min_value=0,
        help_text=_lazy(
            "A run that splits more starts once the members have agreed. 0: they vote on "
            "every run with credits. Suggested: empty, so that no run needs a vote."
        ),
    )
    credits_in_period = forms.IntegerField(
        label=_lazy("Credits that all runs of a period may split together"),
        required=False,
        min_value=0,
        help_text=_lazy(
            "A run that would split more than is left does not start. Suggested: empty, so "
            "that only each run's own number counts."
        ),
    )
    period_days = forms.IntegerField(
        label=_lazy("Days of that period"),
        min_value=1,
        max_value=LONGEST_PERIOD_DAYS,
        help_text=_lazy("Counted back from the day on which a run begins. Suggested: 90."),
    )
    quorum_percent = forms.IntegerField(
        label=_lazy("Organisations that must vote, in %"),
        min_value=0,
        max_value=100,
        help_text=_lazy("With fewer votes a proposal lapses. Suggested: 50."),
    )
    majority = forms.ChoiceField(
        label=_lazy("A proposal is accepted with"),
        choices=[(name, _lazy(words)) for name, words in MAJORITIES.items()],
        widget=forms.RadioSelect,
        help_text=_lazy("Suggested: more yes than no."),
    )
    days = forms.IntegerField(
        label=_lazy("Days until a vote closes"),
        min_value=1,
        max_value=LONGEST_VOTE_DAYS,
        help_text=_lazy("Sooner, once nothing can change the result. Suggested: 7."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        led: Any = self.fields["led"]
        led.choices = [(name, str(kinds[name].label)) for name in sorted(kinds)]
        for field, names in (("strategies", STRATEGIES), ("valuation", VALUATIONS)):
            offered: Any = self.fields[field]
            offered.choices = [(name, in_words(name)) for name in names]

    @property
    def sections(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        return [
            (_(title), _(text), [self[name] for name in names]) for title, text, names in SECTIONS
        ]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                agreed_columns(**self.agreed())
            except Invalid as refused:
                self.add_error(None, refused.detail)
        return cleaned

    def agreed(self) -> dict[str, Any]:
        """What services take of a valid form."""
        given = self.cleaned_data
        said = {
            **{name: given[name] for name in _ALIKE},
            "voting": {
                "quorum": given["quorum_percent"] / 100,
                "majority": given["majority"],
                "days": given["days"],
            },
        }
        return {
            "policy": policy_of(said),
            "is_listed": given["is_listed"],
            "largest_update_bytes": given["largest_update_megabytes"] * MEGABYTE,
        }


_ALIKE = (
    "join",
    "minimum_participants",
    "strategies",
    "must_commit",
    "may_attribute",
    "valuation",
    "credits_without_vote",
    "credits_in_period",
    "period_days",
    "led",
)


def as_initial(
    policy: Policy = SUGGESTED,
    *,
    is_listed: bool = True,
    largest_update_bytes: int = SUGGESTED_UPDATE_BYTES,
) -> dict[str, Any]:
    """What the form shows of these rules."""
    return {
        **{name: getattr(policy, name) for name in _ALIKE},
        "is_listed": is_listed,
        "largest_update_megabytes": max(1, largest_update_bytes // MEGABYTE),
        "quorum_percent": round(policy.voting.quorum * 100),
        "majority": policy.voting.majority,
        "days": policy.voting.days,
    }


class PolicyChangeForm(PolicyForm):
    """Another policy in the place of the present one, as members propose it."""

    def __init__(self, *given: Any, federation: Federation, user: User, **named: Any) -> None:
        present = as_initial(
            federation.typed_policy,
            is_listed=federation.is_listed,
            largest_update_bytes=federation.largest_update_bytes,
        )
        super().__init__(*given, **{"initial": present, **named})
        self.federation, self.user = federation, user

    def agreed(self) -> dict[str, Any]:
        """What nobody touched stays as it is, also where the form shows it rounded."""
        agreed, changed = super().agreed(), self.changed_data
        if "largest_update_megabytes" not in changed:
            agreed["largest_update_bytes"] = self.federation.largest_update_bytes
        if "quorum_percent" not in changed:
            exact = {"quorum": self.federation.typed_policy.voting.quorum}
            voting = agreed["policy"].voting.model_copy(update=exact)
            agreed["policy"] = agreed["policy"].model_copy(update={"voting": voting})
        return agreed

    def terms(self) -> dict[str, Any]:
        agreed = self.agreed()
        return {**agreed, "policy": agreed["policy"].model_dump(mode="json")}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors and self.terms() == agreed_in(self.federation):
            self.add_error(None, _("This is what is agreed on already: change something."))
        return cleaned
