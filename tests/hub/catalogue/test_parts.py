"""The hash of a whole upload, gone on with while a part is still on its way."""

from __future__ import annotations

import os
from contextlib import closing
from uuid import uuid4

import pytest

from hub.catalogue.api.uploads import continued_upload
from hub.catalogue.blobs import uploads
from hub.catalogue.blobs.parts import hashes
from hub.catalogue.errors import DigestMismatch
from hub.catalogue.models import Upload
from hub.common.bodies import Body, Continued
from tests.factories.catalogue import begin, send
from tests.factories.organisations import AgentFactory

pytestmark = pytest.mark.django_db

CONTENT = os.urandom(5000)
FIRST, REST = CONTENT[:2000], CONTENT[2000:]


@pytest.fixture
def upload(settings, tmp_path) -> Upload:
    """The first part is in."""
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"
    return send(begin(AgentFactory(), CONTENT), FIRST)


def scope(upload_id: object, offset: str = "2000", **changes: object) -> dict[str, object]:
    path = f"/api/v1/agent/uploads/{upload_id}"
    headers = [(b"upload-offset", offset.encode())]
    return {"method": "PATCH", "path": path, "headers": headers, **changes}


def append(upload: Upload, part: bytes, continued: Continued | None, *, hashed: bool) -> Upload:
    body = Body(continued)
    body.take(part)
    if hashed:
        body.go_on(part)
    body.rewind()
    with closing(body):
        return uploads.append(upload=upload, offset=2000, length=len(part), body=body)


def test_a_part_that_was_hashed_as_it_came_completes_the_upload(upload: Upload) -> None:
    lent = continued_upload(scope(upload.pk))
    assert append(upload, REST, lent, hashed=True).state == "complete"


def test_it_is_not_hashed_again(upload: Upload) -> None:
    """What was not added on the way is missing in the end."""
    lent = continued_upload(scope(upload.pk))
    with pytest.raises(DigestMismatch):
        append(upload, REST, lent, hashed=False)


def test_a_hash_that_is_no_longer_the_uploads_is_not_used(upload: Upload) -> None:
    lent = continued_upload(scope(upload.pk))
    hashes.keep(upload.pk, 2000, hashes.up_to(upload.pk, 2000))  # the same bytes came once more
    assert append(upload, REST, lent, hashed=False).state == "complete"


def test_a_part_that_is_shorter_than_its_body_is_hashed_as_it_is(upload: Upload) -> None:
    body = Body(continued_upload(scope(upload.pk)))
    body.take(REST + b"more")
    body.go_on(REST + b"more")
    body.rewind()
    with closing(body):
        done = uploads.append(upload=upload, offset=2000, length=len(REST), body=body)
    assert done.state == "complete"


def test_only_a_part_at_the_uploads_place_is_gone_on_with(upload: Upload) -> None:
    assert continued_upload(scope(upload.pk)) is not None
    for other in (
        scope(upload.pk, "1999"),
        scope(upload.pk, "x"),
        scope(uuid4()),
        scope("nothing"),
        scope(upload.pk, method="HEAD"),
        scope(upload.pk, headers=[]),
    ):
        assert continued_upload(other) is None
