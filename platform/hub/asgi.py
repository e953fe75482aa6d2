"""What uvicorn serves."""

from __future__ import annotations

import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
static_files = get_asgi_application()

from django.conf import settings  # noqa: E402 (needs the applications)

from hub.catalogue.api.uploads import continued_upload  # noqa: E402
from hub.common.api.parsers import JSON_LIMIT_BYTES  # noqa: E402
from hub.common.bodies import Bounded, Receive, Scope, Send  # noqa: E402
from hub.common.checks import refuse_unsafe_start  # noqa: E402
from hub.common.handler import Handler  # noqa: E402

refuse_unsafe_start()
pages_and_api = Handler(continued_upload)
gc.collect()
gc.freeze()  # what is loaded by now stays, and need not be looked through again and again


async def django_application(scope: Scope, receive: Receive, send: Send) -> None:
    is_static = scope["type"] == "http" and scope["path"].startswith(settings.STATIC_URL)
    await (static_files if is_static else pages_and_api)(scope, receive, send)


# Parts of uploads may be set to be smaller than the longest message.
LONGEST_BODY = max(settings.UPLOAD_CHUNK_BYTES, JSON_LIMIT_BYTES)
application = Bounded(django_application, most=LONGEST_BODY)
