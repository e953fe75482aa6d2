#!/bin/sh
# The web server: WEB_PROCESSES of uvicorn on WEB_HOST:WEB_PORT.
set -eu
exec python -P -m hub.operations.processes web
