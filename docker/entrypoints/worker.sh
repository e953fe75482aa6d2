#!/bin/sh
# The light worker: coordination and sweeps, in WORKER_THREADS threads.
set -eu
exec python -P -m hub.operations.processes worker
