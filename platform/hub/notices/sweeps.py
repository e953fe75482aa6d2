"""What the periodic worker does for notices: a look every few seconds, and a long one.

Nothing here waits for a mail server or a webhook: jobs do, and are asked for while something is
due. A job that is lost is asked for again.
"""

from __future__ import annotations

from hub.dispatch import Job, send_soon
from hub.notices.conditions import forget_occurrences, notice_conditions
from hub.notices.hooks.delivering import deliveries_are_due, forget_deliveries
from hub.notices.mail.due import write_digests, write_letters
from hub.notices.mail.posting import forget_letters, letters_are_due
from hub.notices.settling import settle_needs
from hub.notices.telling import forget_told, tell_news

WORTH_SECONDS = 30.0  # of a message that asks for a job


def look() -> None:
    """Tell what happened, settle what is done, and have letters and deliveries sent."""
    tell_news()
    settle_needs()
    write_letters()
    if letters_are_due():
        send_soon(Job.POST_MAIL, seconds=WORTH_SECONDS)
    if deliveries_are_due():
        send_soon(Job.DELIVER_WEBHOOKS, seconds=WORTH_SECONDS)


def look_around() -> None:
    """Notice conditions, tell what came late, write the daily letters, let go of what is old."""
    notice_conditions()
    tell_news(surely=True)
    write_digests()
    forget_told()
    forget_occurrences()
    forget_letters()
    forget_deliveries()
