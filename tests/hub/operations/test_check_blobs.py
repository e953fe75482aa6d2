"""Looking for artifacts whose bytes are gone, in a folder and in a bucket."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from hub.catalogue.blobs.artifacts import adopt_bytes
from hub.catalogue.blobs.buckets import S3Store
from hub.catalogue.blobs.storage import key_of, store
from tests.buckets import bucket, s3  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["folder", "s3"], autouse=True)
def place(request, settings, tmp_path):
    settings.BLOB_FOLDER, settings.UPLOAD_FOLDER = tmp_path / "blobs", tmp_path / "uploads"
    if request.param == "s3":
        settings.BLOB_BUCKET, settings.BLOB_ENDPOINT = request.getfixturevalue("bucket")


def check(*options: str) -> str:
    told = StringIO()
    call_command("check_blobs", *options, stdout=told, stderr=told)
    return told.getvalue()


def overwrite(sha256: str, content: bytes) -> None:
    blobs = store()
    if isinstance(blobs, S3Store):
        blobs.client.put_object(Bucket=blobs.bucket, Key=key_of(sha256), Body=content)
    else:
        path = blobs.local_path(sha256)
        path.chmod(0o600)
        path.write_bytes(content)


def test_what_is_whole_is_said_to_be_there():
    adopt_bytes(content=b"a")
    assert check("--read") == "All 1 artifacts are there.\n"


def test_what_is_gone_cut_or_changed_is_named():
    whole, gone, cut, changed = (
        adopt_bytes(content=content).sha256 for content in (b"whole", b"gone", b"cut", b"changed")
    )
    store().delete(gone)
    overwrite(cut, b"c")
    overwrite(changed, b"CHANGED")
    told = StringIO()
    with pytest.raises(CommandError, match="2 of 4"):
        call_command("check_blobs", stderr=told)
    lines = told.getvalue()
    assert f"{gone} is missing" in lines
    assert f"{cut} has another size" in lines
    with pytest.raises(CommandError):
        call_command("check_blobs", "--read", stderr=told)
    assert f"{changed} has other bytes" in told.getvalue()
    assert f"{whole} " not in told.getvalue()
