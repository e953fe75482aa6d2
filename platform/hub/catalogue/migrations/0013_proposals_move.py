"""Proposals of releases and rollbacks become proposals like all others, and back.

They were the lead's to decide, so they are led, and open ones close a week from now. Backwards,
what the former table has no word for (lapsed, failed, decided by the hub) counts as withdrawn.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

THERE = """
INSERT INTO federations_proposal (
    id, created_at, state, state_changed_at, kind, terms, digest, reason, rule, electorate, is_led,
    closes_at, due_at, decided_at, answer, result, decided_by_id, federation_id, participation_id,
    proposed_by_id
)
SELECT
    p.id, p.created_at, p.state, p.state_changed_at, p.kind,
    jsonb_build_object('number', v.number, 'version', v.id::text),
    encode(
        sha256(convert_to(format('{"number":%s,"version":"%s"}', v.number, v.id), 'UTF8')), 'hex'
    ),
    p.reason,
    '{"quorum": 0.5, "majority": "simple", "days": 7}'::jsonb,
    ARRAY(
        SELECT place.id FROM federations_participation AS place
        WHERE place.federation_id = p.federation_id
            AND place.standing = 'lead' AND place.state = 'active'
    ),
    true,
    closing.at, closing.at,
    CASE WHEN p.state = 'open' THEN NULL ELSE p.state_changed_at END,
    p.answer,
    CASE WHEN p.replaced_id IS NULL THEN '{}'::jsonb ELSE jsonb_build_object(
        'replaced', p.replaced_id::text, 'replaced_number', r.number
    ) END,
    p.decided_by_id, p.federation_id, p.participation_id, p.proposed_by_id
FROM catalogue_proposal AS p
JOIN catalogue_modelversion AS v ON v.id = p.version_id
LEFT JOIN catalogue_modelversion AS r ON r.id = p.replaced_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN p.state = 'open' THEN now() + interval '7 days' ELSE p.state_changed_at
    END AS at
) AS closing
"""
BACK = """
INSERT INTO catalogue_proposal (
    id, created_at, state, state_changed_at, kind, reason, answer, federation_id, version_id,
    replaced_id, proposed_by_id, participation_id, decided_by_id
)
SELECT
    p.id, p.created_at, former.state, p.state_changed_at, p.kind, p.reason, p.answer,
    p.federation_id, (p.terms ->> 'version')::uuid,
    CASE WHEN former.state = 'accepted' THEN (p.result ->> 'replaced')::uuid END,
    p.proposed_by_id, p.participation_id, former.decided_by
FROM federations_proposal AS p
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN p.state IN ('open', 'accepted') THEN p.state
            WHEN p.state = 'refused' AND p.decided_by_id IS NOT NULL THEN p.state
            ELSE 'withdrawn'
        END AS state,
        CASE
            WHEN p.state = 'accepted' THEN coalesce(p.decided_by_id, p.proposed_by_id)
            ELSE p.decided_by_id
        END AS decided_by
) AS former
WHERE p.kind IN ('release', 'rollback');
DELETE FROM federations_vote AS vote USING federations_proposal AS p
WHERE vote.proposal_id = p.id AND p.kind IN ('release', 'rollback');
DELETE FROM federations_proposal WHERE kind IN ('release', 'rollback');
SET CONSTRAINTS ALL IMMEDIATE
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("catalogue", "0012_long_lines_and_claimed_pushes"),
        ("federations", "0009_proposals"),
    ]
    operations: ClassVar = [
        migrations.RunSQL(THERE, BACK),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.DeleteModel("Proposal"),
    ]
