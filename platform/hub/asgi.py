"""What uvicorn serves."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
django_application = get_asgi_application()

from django.conf import settings  # noqa: E402 (needs the applications)

from hub.common.bodies import Bounded  # noqa: E402
from hub.common.checks import refuse_unsafe_start  # noqa: E402

refuse_unsafe_start()
application = Bounded(django_application, most=settings.UPLOAD_CHUNK_BYTES)
