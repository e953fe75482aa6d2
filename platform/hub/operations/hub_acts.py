"""What operators may do to the hub as a whole, put on its one row."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from hub.common import switches
from hub.common.acts import Act, offer
from hub.common.console import ReadOnlyAdmin
from hub.common.models import BannerLevel, Switchboard
from hub.operations import switching


@admin.register(Switchboard)
class SwitchboardAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "maintenance_since", "banner_text", "sign_up_open")


def minutes() -> forms.IntegerField:
    return forms.IntegerField(
        min_value=1,
        max_value=7 * 24 * 60,
        required=False,
        label="Minutes that it will take",
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text="Told to people and agents. It does not end by itself.",
    )


def words(label: str, *, required: bool, more: str) -> forms.CharField:
    return forms.CharField(
        max_length=300,
        required=required,
        label=label,
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True}),
        help_text=more,
    )


def level() -> forms.ChoiceField:
    return forms.ChoiceField(choices=BannerLevel.choices, widget=UnfoldAdminSelectWidget())


def moment(label: str, more: str) -> forms.DateTimeField:
    attrs = {**UnfoldAdminTextInputWidget().attrs, "type": "datetime-local"}
    return forms.DateTimeField(
        required=False,
        label=label,
        widget=forms.DateTimeInput(attrs=attrs, format="%Y-%m-%dT%H:%M"),
        help_text=more,
    )


offer(
    Switchboard,
    Act(
        name="maintain",
        label="Begin maintenance",
        consequence="Nobody writes but operators, who are signed in: people and agents are told to "
        "come back. Reading goes on. New jobs are held, and those that workers have are finished. "
        "No deadline passes, and no lease runs out.",
        perform=lambda _, who, why, note, minutes: switching.begin_maintenance(
            actor=who, reason=why, note=note, minutes=minutes
        ),
        when=lambda board: not board.is_in_maintenance,
        asks={
            "note": lambda: words(
                "What everybody is told", required=False, more="Such as: The hub is upgraded."
            ),
            "minutes": minutes,
        },
        is_dangerous=True,
        icon="construction",
    ),
    Act(
        name="reopen",
        label="End maintenance",
        consequence="Everybody may write again. Deadlines and leases move on by the time that it "
        "took, jobs that were held are sent, and agents go on by themselves.",
        perform=lambda _, who, why: switching.end_maintenance(actor=who, reason=why),
        when=lambda board: board.is_in_maintenance,
        icon="play_arrow",
    ),
    Act(
        name="announce",
        label="Announce something",
        consequence="Everybody reads it above every page, in place of what was announced before, "
        "and programs read it at /api/v1/. Each reader can put it away.",
        perform=lambda _, who, why, **said: switching.announce(actor=who, reason=why, **said),
        asks={
            "words": lambda: words(
                "What is announced", required=True, more="One sentence, or two."
            ),
            "level": level,
            "begins": lambda: moment("From (UTC)", "Empty: from now on."),
            "ends": lambda: moment("Until (UTC)", "Empty: until it is taken down."),
        },
        icon="campaign",
    ),
    Act(
        name="take_down",
        label="Take the announcement down",
        consequence="Nobody reads it any more.",
        perform=lambda _, who, why: switching.take_down(actor=who, reason=why),
        when=lambda board: bool(board.banner_text),
        icon="close",
    ),
    Act(
        name="close_sign_up",
        label="Close sign-up",
        consequence="Nobody makes an account, and without one nobody registers an organisation. "
        "Who is invited still comes in, and who has an account goes on.",
        perform=lambda _, who, why: switching.set_sign_up(is_open=False, actor=who, reason=why),
        when=lambda board: board.sign_up_open,
        icon="person_off",
    ),
    Act(
        name="open_sign_up",
        label="Open sign-up",
        consequence="Anybody can make an account and register an organisation.",
        perform=lambda _, who, why: switching.set_sign_up(is_open=True, actor=who, reason=why),
        when=lambda board: not board.sign_up_open,
        icon="person_add",
    ),
    Act(
        name="approve_by_itself",
        label="Approve registrations automatically",
        consequence="Whoever registers an organisation can found and join federations at once. For "
        "trials, and for hubs that no stranger can reach.",
        perform=lambda _, who, why: switching.set_approval(by_itself=True, actor=who, reason=why),
        when=lambda _: not switches.approves_organisations(),
        is_dangerous=True,
        icon="done_all",
    ),
    Act(
        name="approve_by_hand",
        label="Approve registrations by hand",
        consequence="Organisations wait for an operator from now on.",
        perform=lambda _, who, why: switching.set_approval(by_itself=False, actor=who, reason=why),
        when=lambda _: switches.approves_organisations(),
        icon="front_hand",
    ),
)
