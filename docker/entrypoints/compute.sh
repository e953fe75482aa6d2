#!/bin/sh
# The worker with tensors: prepares runs, examines updates, aggregates rounds.
set -eu
exec python -P -m hub.operations.processes compute
