"""What operators may do about people, put on their pages."""

from __future__ import annotations

from django import forms
from unfold.widgets import UnfoldBooleanSwitchWidget

from hub.accounts.models import User
from hub.common.acts import Act, offer
from hub.operations import people


def tokens() -> forms.BooleanField:
    return forms.BooleanField(
        required=False,
        label="Revoke their API tokens as well",
        widget=UnfoldBooleanSwitchWidget(),
        help_text="Their scripts stop. A stolen session may have made some.",
    )


offer(
    User,
    Act(
        name="sign_out",
        label="Sign out everywhere",
        consequence="All of the person's sessions end at once. They can sign in again.",
        perform=lambda pk, who, why, tokens: people.sign_out(
            user_id=pk, actor=who, reason=why, tokens=tokens
        ),
        asks={"tokens": tokens},
        icon="logout",
    ),
    Act(
        name="suspend",
        label="Suspend",
        consequence="The person is signed out and cannot sign in; their tokens open nothing. What "
        "they did stays on record under their name.",
        perform=lambda pk, who, why: people.suspend(user_id=pk, actor=who, reason=why),
        when=lambda user: user.is_active,
        is_dangerous=True,
        icon="block",
    ),
    Act(
        name="reinstate",
        label="Reinstate",
        consequence="The person can sign in again, and their tokens work again.",
        perform=lambda pk, who, why: people.reinstate(user_id=pk, actor=who, reason=why),
        when=lambda user: not user.is_active,
        icon="undo",
    ),
    Act(
        name="clear_factor",
        label="Clear the second factor",
        consequence="Whoever knows the password is let in, until the person sets up another. Make "
        "sure by another way that it is they who ask. They are signed out everywhere.",
        perform=lambda pk, who, why: people.clear_second_factor(user_id=pk, actor=who, reason=why),
        when=lambda user: user.authenticator_set.exists(),
        is_dangerous=True,
        icon="lock_open",
    ),
    Act(
        name="appoint",
        label="Make an operator",
        consequence="The person sees this console and may do everything here.",
        perform=lambda pk, who, why: people.appoint(user_id=pk, actor=who, reason=why),
        when=lambda user: not user.is_staff,
        is_dangerous=True,
        icon="admin_panel_settings",
    ),
    Act(
        name="dismiss",
        label="Let be an operator no more",
        consequence="The console is closed to the person from their next request on.",
        perform=lambda pk, who, why: people.dismiss(user_id=pk, actor=who, reason=why),
        when=lambda user: user.is_staff,
        is_dangerous=True,
        icon="remove_moderator",
    ),
)
