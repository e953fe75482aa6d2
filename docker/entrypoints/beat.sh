#!/bin/sh
# The clock: asks for the sweeps. One is enough; two do no harm.
set -eu
exec python -P -m hub.operations.processes beat
