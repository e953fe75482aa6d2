#!/bin/sh
# Whether the web server in this container is ready. Ends with 0 if it is.
set -eu
exec python -P -m hub.operations.probe /readyz
