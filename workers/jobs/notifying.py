"""Letters and webhooks: as long as mail servers and other people's systems take to answer.

Each message sends whatever is due, for a while. One thread does the one and one the other; a
message that finds it busy is dropped, since that thread looks for more before it ends. What a
message carries is not looked at: ours carry nothing.
"""

from __future__ import annotations

import threading

from hub.dispatch import Job
from hub.notices.hooks.delivering import deliver_due
from hub.notices.mail.posting import post_letters
from jobs.app import app

posting, delivering = threading.Lock(), threading.Lock()


@app.task(name=Job.POST_MAIL.value)
def post_mail(*_: object) -> None:
    """Send the letters that are due; delivered twice, the second finds none."""
    if posting.acquire(blocking=False):
        try:
            post_letters()
        finally:
            posting.release()


@app.task(name=Job.DELIVER_WEBHOOKS.value)
def deliver_webhooks(*_: object) -> None:
    """Send the deliveries that are due; delivered twice, the second finds none."""
    if delivering.acquire(blocking=False):
        try:
            deliver_due()
        finally:
            delivering.release()
