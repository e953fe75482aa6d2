"""What enters the ledger: every act once, as docs/contributions.md says, and nothing of people."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.db import transaction

from federation.ledger import entries
from federation.plan import canonical
from federation.signatures import generate_private_key, verify_bytes
from hub.catalogue.models import ModelVersion
from hub.catalogue.versions.releases import propose_release, release_version, retire_version
from hub.common.actors import HUB
from hub.common.models import OutboxMessage
from hub.dispatch import Job
from hub.federations import services as federations
from hub.federations.entries import tell_admitted
from hub.federations.proposals.services import vote, withdraw
from hub.ledger.models import Entry, EntryType
from hub.organisations.services import revoke_agent
from hub.runs import services
from hub.runs.entries import opening_of
from hub.runs.models import Update
from jobs.coordination import tell_keys
from tests.factories.organisations import MembershipFactory
from tests.hub.contributions.story import (
    NAMES,
    declare,
    founded_world,
    one_round,
    owner_of,
    payload_of,
    place_all,
    told,
)
from tests.hub.organisations.test_keys import rotate, successor
from tests.hub.runs.world import World, make_world

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[3]
DOCS, CODE = ROOT / "docs" / "contributions.md", ROOT / "platform" / "hub"
REASON = "They sent figures that nobody believes."
PLAIN = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # identifiers
    r"|[0-9a-f]{64}|[0-9a-f]{40}"  # digests and revisions
    r"|[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{86}=="  # keys and signatures
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"  # times
    r"|[a-z][a-z_]{0,40}"  # words of the program: states, codes, methods
)
WHOLE = {"plan", "statement"}  # as they were signed or hashed


@pytest.fixture
def world(tmp_path: Path) -> World:
    return founded_world(tmp_path)


def story(world: World) -> None:
    """Everything that happens in a federation's life, short of ending it."""
    for site in world.sites:
        declare(world, site, 100)
    run = world.start_run()
    for site in world.sites:
        world.train(site)
    odd = Update.objects.get(participation__organisation=world.sites[1].agent.organisation)
    services.record_verdict(update_id=odd.pk, verdict="quarantined", code="norm_outlier", norm=3.0)
    world.judge(run)
    services.judge_update(user=world.lead, update_id=odd.pk, accept=False, reason=REASON)
    world.aggregate(run)
    for site in world.sites:
        world.evaluate(site)
    services.advance_run(run_id=run.pk)
    services.cancel_run(user=world.lead, run_id=run.pk, reason=REASON)
    one_round(world)
    first, second = ModelVersion.objects.order_by("number")
    release_version(user=world.lead, version_id=first.pk, reason=REASON)
    member = MembershipFactory(organisation=world.sites[1].agent.organisation).user
    proposal = propose_release(user=member, version_id=second.pk, reason=REASON)
    vote(user=world.lead, proposal_id=proposal.pk, choice="no", reason=REASON)
    proposal = propose_release(user=member, version_id=second.pk, reason=REASON)
    withdraw(user=member, proposal_id=proposal.pk, reason=REASON)
    retire_version(user=world.lead, version_id=second.pk, reason=REASON)
    end(world)


def end(world: World) -> None:
    """One key is changed, another revoked, and an organisation leaves."""
    first, second, third = world.sites
    rotate(first.agent, successor(first.agent, generate_private_key()))
    revoke_agent(agent_id=second.agent.pk, actor=HUB, reason=REASON)
    for site in world.sites:
        tell_keys(str(site.agent.pk))
    place = world.federation.participations.get(organisation=third.agent.organisation)
    for _ in range(2):
        federations.leave(
            user=owner_of(place.organisation), participation_id=place.pk, reason=REASON
        )


def strings_in(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from strings_in(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_in(inner, name)


def test_a_whole_story_tells_identifiers_digests_keys_and_numbers_only(world: World):
    story(world)
    found = told(world)
    for entry in found:
        assert entries.parse_entry(entry.text or "").leaf == bytes(entry.leaf or b"")
        for name, text in strings_in(payload_of(entry)):
            is_file = name.endswith((".json", ".md", ".safetensors")) or name in WHOLE
            assert is_file or PLAIN.fullmatch(text), (entry.type, name, text)
    people = [person for site in world.sites for person in site.agent.organisation.members.all()]
    texts = [REASON, *NAMES, *(site.agent.name for site in world.sites)]
    for text in [*texts, *(one.email for one in people), *(one.name for one in people)]:
        assert not any(text in (entry.text or "") for entry in found), text
    kinds = Counter(entry.type for entry in found)
    assert kinds == {
        "federation.founded": 1,
        "charter.signed": 3,
        "participation.admitted": 3,
        "participation.left": 1,
        "key.enrolled": 3,
        "key.rotated": 1,
        "key.revoked": 1,
        "data.declared": 3,
        "run.started": 2,
        "round.opened": 3,
        "round.closed": 2,
        "round.failed": 1,
        "update.submitted": 6,
        "update.judged": 7,
        "version.published": 2,
        "evaluation.recorded": 12,
        "release.decided": 2,
        "proposal.made": 3,
        "vote.cast": 2,
        "proposal.decided": 3,
    }


def test_a_statement_can_be_checked_with_what_stands_before_it(world: World):
    one_round(world)
    keys = {}
    for entry in told(world):
        said = payload_of(entry)
        if entry.type in {EntryType.KEY_ENROLLED, EntryType.KEY_ROTATED}:
            keys[said["key_id"]] = b64decode(said["public_key"])
        if entry.type == EntryType.UPDATE_SUBMITTED:
            statement = said["statement"].encode()
            verify_bytes(keys[said["key_id"]], "fl-update-v1", statement, said["signature"])


def test_a_key_that_no_job_has_told_is_told_with_its_first_statement(world: World):
    """As after an admission beside which the agent enrolled."""
    run = world.start_run()
    first = world.sites[0]
    rotate(first.agent, successor(first.agent, new := generate_private_key()))
    first.agent.refresh_from_db()
    first.private_key = new
    world.train(first)
    kinds = [entry.type for entry in told(world)]
    assert kinds[-2:] == ["key.rotated", "update.submitted"]
    tell_keys(str(first.agent.pk))
    assert [entry.type for entry in told(world)] == kinds
    assert run.rounds.get().updates.count() == 1


def test_keys_are_carried_by_a_job_that_is_sent_with_them(world: World):
    agent = world.sites[0].agent
    rotate(agent, successor(agent, generate_private_key()))
    revoke_agent(agent_id=agent.pk, actor=HUB)
    sent = OutboxMessage.objects.filter(job=Job.TELL_KEYS).values_list("arguments", flat=True)
    assert list(sent) == [[str(agent.pk)]] * 2


def test_the_receipt_says_where_its_entry_is(world: World):
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    path = world.update_file(offer, site)
    world.upload(site, offer, path)
    message = world.statement(site, offer, path)
    receipts = [
        services.submit_update(agent=site.agent, task_id=offer.id, message=message)
        for _ in range(2)
    ]
    assert receipts[0] == receipts[1]
    (entry,) = told(world, EntryType.UPDATE_SUBMITTED)
    assert receipts[0].ledger_index == entry.position
    assert receipts[0].entry_sha256 == bytes(entry.leaf or b"").hex()


def test_the_round_s_opening_is_found_by_its_tasks(world: World):
    run = world.start_run()
    (entry,) = told(world, EntryType.ROUND_OPENED)
    found = opening_of(run.rounds.get())
    assert found is not None
    assert (found.federation, found.covers) == (world.federation.pk, entry.position)
    assert payload_of(entry)["roster"] == sorted(
        str(place.pk) for place in world.federation.participations.all()
    )


def test_the_plan_stands_in_the_ledger_as_it_is_hashed(world: World):
    run = world.start_run()
    said = payload_of(told(world, EntryType.RUN_STARTED)[0])
    assert hashlib.sha256(said["plan"].encode()).hexdigest() == said["plan_digest"]
    assert said["plan_digest"] == run.plan_digest
    assert canonical(json.loads(said["plan"])).decode() == said["plan"]


def test_what_was_counted_and_what_came_of_it_stands_together(world: World):
    run = one_round(world)
    said = payload_of(told(world, EntryType.ROUND_CLOSED)[0])
    published = payload_of(told(world, EntryType.VERSION_PUBLISHED)[0])
    version = run.rounds.get().version
    assert said["result"] == published["adapter"] == version.adapter_id
    assert said["version"] == published["version"] == str(version.pk)
    assert sum(one["weight"] for one in said["updates"]) == pytest.approx(1.0)
    counted = {one["sha256"] for one in said["updates"]}
    assert counted == set(Update.objects.values_list("artifact_id", flat=True))


def test_who_only_asks_to_join_writes_nothing(world: World):
    before = len(told(world))
    membership = MembershipFactory()
    place = federations.request_to_join(
        user=membership.user,
        organisation_id=membership.organisation.pk,
        federation_id=world.federation.pk,
        charter_digest=world.federation.charter_digest,
    )
    federations.declare_data(
        user=membership.user, participation_id=place.pk, train_examples=5, test_examples=5
    )
    federations.leave(user=membership.user, participation_id=place.pk)
    assert len(told(world)) == before


def test_what_is_undone_is_not_told(world: World):
    before = len(told(world))
    with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012
        declare(world, world.sites[0], 70)
        raise RuntimeError
    place_all()
    assert Entry.objects.count() == before


def test_a_federation_of_before_begins_with_who_takes_part_and_is_told_nothing_twice(
    tmp_path: Path,
):
    """The migration says what the services say, so that those find it said already."""
    older = make_world(tmp_path)
    begin = import_module("hub.federations.migrations.0004_ledgers_begin").begin
    for _ in range(2):
        begin(apps, None)
    first, *others = told(older)
    assert payload_of(first)["since"] is not None
    assert Counter(entry.type for entry in others) == {
        "charter.signed": 3,
        "participation.admitted": 3,
        "key.enrolled": 3,
    }
    for place in older.federation.participations.all():
        tell_admitted(place)
    assert len(told(older)) == 10


def test_the_table_in_the_docs_has_every_type_and_all_of_them_are_written():
    table = DOCS.read_text().partition("| type | when | payload |\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([a-z.]+)` \|", table, re.MULTILINE)
    assert sorted(rows) == sorted(EntryType.values)
    code = [path.read_text() for path in CODE.rglob("*.py") if path.parent.name != "ledger"]
    assert not [kind for kind in EntryType if not any(f"EntryType.{kind.name}" in c for c in code)]
