"""For servers that speak WSGI; event streams and long polls need asgi.py."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
application = get_wsgi_application()

from hub.common.checks import refuse_unsafe_start  # noqa: E402 (needs the applications)

refuse_unsafe_start()
