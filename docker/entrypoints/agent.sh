#!/bin/sh
# An organisation's agent. The first time it enrols, with FOEDUS_HUB_URL and the one-time code in
# FOEDUS_ENROLMENT_CODE or in the file FOEDUS_ENROLMENT_CODE_FILE; then it works until SIGTERM.
set -eu
home="${FOEDUS_AGENT_HOME:-/var/lib/foedus}"
if [ ! -e "$home/agent.json" ]; then
	if [ -n "${FOEDUS_ENROLMENT_CODE_FILE:-}" ]; then
		FOEDUS_ENROLMENT_CODE="$(cat "$FOEDUS_ENROLMENT_CODE_FILE")"
	fi
	python -P -m agent enrol "${FOEDUS_HUB_URL:?the hub, as https://hub.example.org}" \
		--code "${FOEDUS_ENROLMENT_CODE:?the one-time code of your agents page}" \
		--name "${FOEDUS_AGENT_NAME:-$(hostname)}"
fi
exec python -P -m agent run --device "${FOEDUS_AGENT_DEVICE:-auto}"
