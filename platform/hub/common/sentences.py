"""Events in plain English, for the feed on pages and in the API.

A sentence is a pattern by the event's kind, and by the state it came from or by its code where that
makes a difference. `{name}` is a field of the event; a part in brackets
is left out when one of its fields is missing; alternatives inside brackets are separated by `|`
and the first one whose fields are all there is taken. So an event without details still reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from hub.common.actors import HUB
from hub.common.models import Event

PATTERNS: Mapping[str, str] = {
    # organisations, their people and agents
    "organisation.registered": "{actor} registered [{organisation}|an organisation]",
    "organisation.approved": "{actor} approved [{organisation}|the organisation][: {reason}]",
    "organisation.refused": "{actor} refused [{organisation}|the organisation][: {reason}]",
    "organisation.suspended": "{actor} suspended [{organisation}|the organisation][: {reason}]",
    "organisation.approved from suspended": "{actor} reinstated [{organisation}|the organisation]",
    "organisation.quota_set": "{actor} let [{organisation}|it] store {may}[: {reason}]",
    "organisation.member_added": "{actor} added [{person}|a person][ as {role}]",
    "organisation.role_given": "{actor} made [{person}|a person] {role}[, before {before}]",
    "organisation.role_made": "{actor} made the role[ '{role}'][, which may: {permissions}]",
    "organisation.role_changed": "{actor} changed the role[ '{role}'][, which may: {permissions}]",
    "organisation.role_deleted": "{actor} deleted the role[ '{role}']",
    "organisation.edited": "{actor} changed the profile[ of {organisation}][: {what}]",
    "organisation.member_removed": "{actor} removed [{person}|a person][ from {organisation}]",
    "organisation.code_made": "{actor} made an enrolment code[ for {organisation}]",
    "organisation.code_revoked": "{actor} revoked an enrolment code[ of {organisation}]",
    "invitation.open": "{actor} invited [{address}|an organisation at {domain}|somebody]"
    "[ into {federation}| to {organisation}][ as {role}]",
    "invitation.open from expired": "{actor} invited [{address}|an organisation at {domain}|"
    "somebody] again",
    "invitation.sent_again": "{actor} sent the invitation[ of {address}] again, with a new link",
    "invitation.accepted": "{actor} accepted the invitation[ into {federation}|"
    " to {organisation}][ for {joined}]",
    "invitation.declined": "The invitation[ of {address}][ into {federation}|"
    " to {organisation}] was declined",
    "invitation.revoked": "{actor} revoked the invitation[ of {address}][: {reason}]",
    "invitation.expired": "The invitation[ of {address}][ into {federation}|"
    " to {organisation}] expired",
    "agent.enrolled": "{who} enrolled",
    "agent.renamed": "{actor} renamed the agent[ '{before}'][ to '{agent}']",
    "agent.key_rotated": "{who} has a new key",
    "agent.revoked": "{actor} revoked {who}[: {reason}]",
    "agent.left": "{who} left for good[: {reason}]",
    # jobs that did not end well
    "job.failed": "[{job}|A job] failed again[: {reason}]",
    "job.sent_again": "{actor} had [{job}|a job] sent again[: {reason}]",
    "job.put_aside": "{actor} put [{job}|a job] aside[: {reason}]",
    # the hub as a whole
    "hub.maintenance_begun": "{actor} began maintenance of the hub[: {reason}]",
    "hub.maintenance_ended": "{actor} ended the maintenance[ after {minutes} minutes][: {reason}]",
    "hub.announced": "{actor} announced[: '{words}']",
    "hub.announcement_taken_down": "{actor} took the announcement down[: {reason}]",
    "hub.sign_up_opened": "{actor} opened sign-up[: {reason}]",
    "hub.sign_up_closed": "{actor} closed sign-up[: {reason}]",
    "hub.approval_automatic": "{actor} had registrations approved automatically[: {reason}]",
    "hub.approval_manual": "{actor} had registrations wait for operators[: {reason}]",
    "organisation.second_factor_set": "{actor} made a second factor {what}[ at {organisation}]",
    # people
    "person.token_made": "{actor} made the token[ '{token}'][, to {scope}]",
    "person.token_revoked": "{actor} revoked the token[ '{token}']",
    "person.made": "{actor} made an account[ for {person}]",
    "person.signed_out": "{actor} signed [{person}|a person] out everywhere[: {reason}]",
    "person.suspended": "{actor} suspended [{person}|a person][: {reason}]",
    "person.reinstated": "{actor} reinstated [{person}|a person][: {reason}]",
    "person.appointed": "{actor} made [{person}|a person] an operator[: {reason}]",
    "person.dismissed": "{actor} let [{person}|a person] be an operator no more[: {reason}]",
    "person.factors_removed": "{actor} removed the second factors[ of {person}][: {reason}]",
    # federations
    "federation.founded": "[{organisation}|{actor}] founded [{federation}|the federation]",
    "federation.active": "{actor} resumed [{federation}|the federation][: {reason}]",
    "federation.paused": "{actor} paused [{federation}|the federation][: {reason}]",
    "federation.dissolved": "{actor} dissolved [{federation}|the federation][: {reason}]",
    "federation.charter_published": "[Version {number} of the charter|Another charter] is in force",
    "federation.policy_changed": "The policy[ of {federation}] was changed",
    "federation.probe_added": "{actor} made [probe {probe}|a probe set][ of {rows} examples]",
    "ledger.resumed": "{actor} let the ledger go on[: {reason}]",
    "participation.requested": "[{organisation}|An organisation] asked to join[ {federation}]",
    "participation.charter_signed": "[{organisation}|An organisation] signed"
    " [version {number} of the charter|the charter]",
    "participation.active": "[{organisation}|An organisation] joined[ {federation}]",
    "participation.refused": "[{organisation}|An organisation] was not admitted[: {reason}]",
    "participation.left": "[{organisation}|An organisation] left[ {federation}][: {reason}]",
    "participation.suspended": "[{organisation}|An organisation] was suspended[: {reason}]",
    "participation.active from suspended": "[{organisation}|An organisation] takes part again"
    "[: {reason}]",
    "participation.leads": "[{organisation}|An organisation] leads[ in place of {before}]",
    "participation.leaving": "[{organisation}|An organisation] leaves after the present round"
    "[: {reason}]",
    "participation.stays": "[{organisation}|An organisation] stays",
    "participation.expelled": "[{organisation}|An organisation] was expelled[: {reason}]",
    "participation.data_stated": "[{organisation}|An organisation] says anew what its data are",
    "participation.data_declared": "[{organisation}|An organisation] declared its data"
    "[: {train_examples} examples to train on, {test_examples} to test on]",
    "federation.described": "[{federation}|The federation] says anew what its models are for",
    "participation.rank_set": "[{organisation}|An organisation] trains at [rank {rank}|any rank]",
    "organisation.licence_accepted": "{actor} accepted [{licence}|the licence][ of {base}]",
    # the registry
    "base_model.registered": "[{base}|A base model] was registered",
    "base_model.failed": "[{base}|A base model] could not be fetched[: {reason}]",
    "base_model.closed": "[{base}|A base model] was given up[: {reason}]",
    "push.asked": "{actor} has [version {number}|a version] copied to {repo} at {endpoint}",
    "push.completed": "[Version {number}|A version] was copied to {repo} at {endpoint}",
    "push.failed": "[Version {number}|A version] was not copied to {repo}[: {reason}]",
    "version.published": "[Version {version}|A version] was published[ by round {round}]",
    "version.candidate": "[Version {version}|A version] is a candidate",
    "version.released": "{actor} released [version {version}|a version][: {reason}]",
    "version.retired": "{actor} retired [version {version}|a version][: {reason}]",
    "version.gate_failed": "[Version {version}|A version] does not pass a gate[: {words}]",
    "version.released from retired": "{actor} went back to [version {version}|a version]",
    "merged.queued": "[Version {version}|A version] is to be merged into its base model",
    "merged.ready": "[Version {version}|A version] was merged into its base model",
    "merged.failed": "[Version {version}|A version] could not be merged[: {reason}]",
    "merged.absent": "The merged model[ of version {version}] was given up for room",
    "distance.queued": "The distance of two adapters is measured again",
    "distance.computed": "The distance of two adapters was measured",
    "distance.failed": "The distance of two adapters could not be measured[: {reason}]",
    "alias.given": "{actor} named [version {version}|a version][ '{alias}']",
    "alias.moved": "{actor} moved the name[ '{alias}'] to [version {version}|another version]"
    "[, from version {before}]",
    "alias.removed": "{actor} removed the name[ '{alias}'][ from version {version}]",
    "proposal.made": "[{organisation}|{actor}] proposed to [{words}|{what} version {version}|decide"
    " something][: {reason}]",
    "proposal.voted": "[{organisation}|{actor}] voted {choice}[ on the proposal to {words}]"
    "[: {reason}]",
    "proposal.vote_changed": "[{organisation}|{actor}] now votes {choice}, not {before}"
    "[, on the proposal to {words}][: {reason}]",
    "proposal.accepted": "The proposal[ to {words}| to {what} version {version}] was accepted"
    "[: {tally}]",
    "proposal.refused": "The proposal[ to {words}| to {what} version {version}] was refused"
    "[: {tally}]",
    "proposal.lapsed": "The proposal[ to {words}] lapsed[: {reason}]",
    "proposal.failed": "The proposal[ to {words}] was accepted and could not be carried out"
    "[: {reason}]",
    "proposal.withdrawn": "The proposal[ to {words}| to {what} version {version}] was withdrawn"
    "[: {reason}]",
    "score.queued": "[{about}|An adapter] is measured again on the public probe",
    "score.computed": "[{about}|An adapter] was measured on the public probe",
    "score.failed": "[{about}|An adapter] could not be measured on the public probe[: {reason}]",
    "upload.open": "{who} started an upload",
    "upload.complete": "{who} finished an upload",
    "upload.closed": "An upload[ of {organisation}] was closed[: {reason}]",
    # runs
    "run.rewarded": "{actor} split {credits} credits[ of '{run}']",
    "run.credits_corrected": "{actor} corrected the credits[ of '{run}']",
    "run.drafted": "{actor} drafted [the run '{run}'|a run]",
    "run.queued": "{actor} started [the run '{run}'|the run][: {reason}]",
    "run.running": "[The run '{run}'|The run] is under way",
    "run.running from paused": "{actor} resumed [the run '{run}'|the run]",
    "run.waiting": "[The run '{run}'|The run] waits[ {reason}]",
    "run.paused": "{actor} paused [the run '{run}'|the run][: {reason}]",
    "run.completed": "[The run '{run}'|The run] is complete[: {reason}]",
    "run.failed": "[The run '{run}'|The run] failed[: {reason}]",
    "run.cancelled": "{actor} cancelled [the run '{run}'|the run][: {reason}]",
    "run.nudged": "{actor} looked after [the run '{run}'|the run][: {reason}]",
    # rounds
    "round.open": "[Round {round}|A round] opened",
    "round.collecting": "[Round {round}|The round] is collecting updates",
    "round.aggregating": "[Round {round}|The round] is aggregating[ {have} updates]",
    "round.evaluating": "[Round {round}|The round] is evaluating",
    "round.closed": "[Round {round}|A round] [{ending}|closed with {have} of {need}|closed]",
    "round.failed": "[Round {round}|A round] failed[ with {have} of {need}][: {reason}]",
    "round.nudged": "{actor} looked after [round {round}|the round][: {reason}]",
    "round.revealing": "[Round {round}|The round] takes updates[: {committed} of {expected} "
    "have committed]",
    "recomputation.queued": "{actor} had [round {round}|a round] computed again[ with {method}]",
    "recomputation.computed": "[Round {round}|A round] was computed again[ with {method}]"
    "[: {outcome}]",
    "recomputation.failed": "[Round {round}|A round] could not be computed again[ with {method}]"
    "[: {reason}]",
    "stacking.queued": "{actor} had the stacked adapter of [round {round}|a round] made",
    "stacking.computed": "The stacked adapter of [round {round}|a round] was made",
    "stacking.failed": "The stacked adapter of [round {round}|a round] could not be made"
    "[: {reason}]",
    "valuation.queued": "What [round {round}|a round] was worth is to be measured[ by {method}]",
    "valuation.queued from failed": "{actor} had [round {round}|a round] valued again"
    "[ by {method}]",
    "valuation.measuring": "What [round {round}|a round] was worth is being measured[ by {method}]",
    "valuation.recorded": "What contributions[ to round {round}] were worth is on record"
    "[, from {evaluations} measurements]",
    "valuation.failed": "[Round {round}|A round] could not be valued[ by {method}][: {reason}]",
    "case.opened": "A case was opened[ about {organisations}][: {about}]",
    "case.answered": "[{organisation}|An organisation] answered a case[ about {about}]",
    "case.upheld": "{actor} upheld a case[ about {organisations}][: {reason}]",
    "case.dismissed": "{actor} dismissed a case[ about {organisations}][: {reason}]",
    # tasks and updates
    "task.queued": "Work[ of round {round}] waits for [{organisation}|an organisation]",
    "task.queued from leased": "The work of {who}[ in round {round}] is offered again[: {reason}]",
    "task.leased": "{who} started {doing}[ for round {round}]",
    "task.completed": "{who} finished {doing}[ for round {round}]",
    "task.failed": "{doing} [of {organisation} |]failed[ in round {round}][: {reason}]",
    "task.failed by declined_by_policy": "[{organisation}|An organisation] declined {doing}"
    "[ in round {round}] by its policy[: {reason}]",
    "task.cancelled": "{doing} [of {organisation} |]was cancelled[ in round {round}][: {reason}]",
    "task.committed": "{who} committed to an update[ for round {round}]",
    "task.duplicated": "The bytes that {who} sent had come before[ in round {round}]",
    "task.stopped": "{doing} was stopped[ at {organisation}][ in round {round}]",
    "update.received": "{who} delivered an update[ for round {round}]",
    "update.accepted": "The update[ of {organisation}] was accepted[ into round {round}]",
    "update.quarantined": "The update[ of {organisation}] is held for review[: {reason}]",
    "update.accepted from quarantined": "{actor} accepted [{organisation}'s|an] update[: {reason}]",
    "update.rejected from quarantined": "{actor} rejected [{organisation}'s|an] update[: {reason}]",
    "update.rejected": "The update[ of {organisation}] was rejected[: {reason}]",
    "update.nudged": "{actor} asked for the verdict on an update[: {reason}]",
    "update.late": "The update[ of {organisation}] came too late[ for round {round}]",
    # notices
    "agent.silent": "Nothing has been heard of {who}[ for {minutes} minutes]",
    "run.stuck": "[The run '{run}'|A run] does not go on[: {reason}]",
    "token.expiring": "The token[ '{token}'] ends[ on {date}]",
    "webhook.made": "{actor} has [{name}|another system] told by a webhook",
    "webhook.changed": "{actor} changed the webhook[ '{name}']",
    "webhook.secret_rotated": "{actor} gave the webhook[ '{name}'] a new secret",
    "webhook.active": "{actor} switched the webhook[ '{name}'] on again",
    "webhook.disabled": "The webhook[ '{name}'] was switched off[: {reason}]",
    "webhook.removed": "{actor} removed the webhook[ '{name}']",
    # the record itself
    "audit.exported": "{actor} exported the record[ as {format}]",
    "outbox.resent": "{actor} had the outbox sent[: {reason}]",
}
DOING = {"train": "training", "evaluate": "evaluation", "value": "the valuation"}
# What the hub itself writes into fields, said in the reader's words; all else is somebody's own.
VALUES = frozenset(
    {
        _noop("yes"),
        _noop("no"),
        _noop("abstain"),
        _noop("owner"),
        _noop("manager"),
        _noop("scientist"),
        _noop("auditor"),
        _noop("read"),
        _noop("write"),
        _noop("necessary"),
        _noop("a choice of its people"),
        _noop("without limit"),
        _noop("as much as any other"),
    }
)
CODED = ("choice", "before", "role", "scope", "what", "may")  # the fields in which they stand
BRACKETS = re.compile(r"\[([^\[\]]*)\]")
FIELD = re.compile(r"\{(\w+)\}")


def sentence(event: Event) -> str:
    """What happened, as one sentence without its full stop. Plain text, not yet escaped."""
    fields = _fields(event)
    code = fields.get("code", "")
    kinds = (f"{event.kind} from {event.from_state}", f"{event.kind} by {code}", event.kind)
    pattern = next((PATTERNS[k] for k in kinds if k in PATTERNS), _plain(event.kind))
    pattern = _(pattern)
    chosen = BRACKETS.sub(lambda found: _first_complete(found.group(1), fields), pattern)
    text = " ".join(FIELD.sub(lambda found: fields.get(found.group(1), ""), chosen).split())
    return text[:1].upper() + text[1:]


def _plain(kind: str) -> str:
    """«widget.was_moved» → «Widget was moved»."""
    subject, _, what = kind.partition(".")
    return f"{subject} {what}".replace("_", " ") + "[: {reason}]"


def _first_complete(alternatives: str, fields: Mapping[str, str]) -> str:
    for text in alternatives.split("|"):
        if all(fields.get(name) for name in FIELD.findall(text)):
            return text
    return ""


def _fields(event: Event) -> dict[str, str]:
    """The event's data as words, with who acted and what was done."""
    data = event.data if isinstance(event.data, dict) else {}
    words = {
        name: str(value)
        for name, value in data.items()
        if isinstance(value, str | int | float) and value != ""
    }
    coded = {name: words[name] for name in CODED if words.get(name) in VALUES}
    words.update({name: _(value) for name, value in coded.items()})
    if event.reason:
        words["reason"] = event.reason
    words["actor"] = actor_of(event)
    if event.kind.startswith("version.") and "number" in words:
        words["version"] = words["number"]
    words["doing"] = _(DOING.get(words.get("task", ""), _noop("work")))
    if summary := words.get("summary"):  # as it stands on the round's page: «Closed with 3 of 4.»
        words["ending"] = summary[:1].lower() + summary[1:].rstrip(".")
    words["who"] = _who(event, words)
    return words


def actor_of(event: Event) -> str:
    """Who acted, as the record has it; of the hub in the reader's words."""
    return _(event.actor_label) if event.actor_kind == HUB.kind else event.actor_label


def _who(event: Event, words: Mapping[str, str]) -> str:
    """«Bergen Bank's agent 'vault-1'», as far as it is known."""
    agent = words.get("agent") or (event.actor_label if event.actor_kind == "agent" else "")
    organisation = words.get("organisation")
    if agent and organisation:
        return _("%(organisation)s's agent '%(agent)s'") % {
            "organisation": organisation,
            "agent": agent,
        }
    if agent:
        return _("agent '%(agent)s'") % {"agent": agent}
    return (
        _("an agent of %(organisation)s") % {"organisation": organisation}
        if organisation
        else _("an agent")
    )
