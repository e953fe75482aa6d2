"""`foedus-verify model`: what was signed passes, and nothing else does."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs import signing
from verifier import cli, keys

ROOT = Path(__file__).parents[2]
WEIGHTS = bytes(range(256)) * 9
LINEAGE = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [
        {
            "name": "adapter_model.safetensors",
            "digest": {"sha256": hashlib.sha256(WEIGHTS).hexdigest()},
        }
    ],
    "predicateType": "urn:foedus:lineage:v1",
    "predicate": {
        "federation": "tickets",
        "version": 3,
        "parent": {"version": 2, "revision": "1" * 40, "adapter_sha256": "2" * 64},
        "plan_sha256": "3" * 64,
        "base_model": {"repo": "base/tiny", "revision": "4" * 40},
        "contributors": [
            {
                "organisation": "Ada Institute",
                "update_sha256": "5" * 64,
                "statement_sha256": "6" * 64,
                "examples": 10,
                "weight": 1.0,
            }
        ],
    },
}
FILES = {
    "adapter_model.safetensors": WEIGHTS,
    "lineage.json": json.dumps(LINEAGE).encode(),
    "README.md": b"# A card\n",
    "deep/labels.json": b"[]",
}


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """The public half of the session's model key, beside what it signed."""
    from django.conf import settings as hub

    path = tmp_path_factory.mktemp("key") / "hub.pem"
    path.write_text(signing.public_pem(Path(hub.MODEL_SIGNING_KEY_FILE)))
    return path


@cache
def signature() -> bytes:
    from django.conf import settings as hub

    digests = {path: hashlib.sha256(content).hexdigest() for path, content in FILES.items()}
    return signing.bundle_of(Path(hub.MODEL_SIGNING_KEY_FILE), "tickets v3", digests)


@pytest.fixture
def model(tmp_path):
    return laid_out(tmp_path / "model")


def laid_out(folder: Path) -> Path:
    for path, content in {**FILES, "model.sig": signature()}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def verify(folder: Path, key: object, *more: str) -> int:
    return cli.run(cli.parser().parse_args(["model", str(folder), "--key", str(key), *more]))


def test_what_was_signed_passes_and_says_where_it_is_from(model, pem, capsys):
    assert verify(model, pem) == 0
    said = capsys.readouterr().out
    for fact in ("4 files", "tickets, version 3", "base/tiny", "version 2", "3" * 64, "6" * 64):
        assert fact in said
    assert verify(model, pem, "--json") == 0
    assert json.loads(capsys.readouterr().out)["lineage"]["version"] == 3


@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.sampled_from([*FILES, "model.sig"]),
    place=st.integers(0, 2**31),
    mask=st.integers(1, 255),
)
def test_any_byte_that_changed_is_found_and_its_file_named(path, place, mask, pem, capsys):
    folder = laid_out(pem.parent / "flipped")
    content = bytearray((folder / path).read_bytes())
    content[place % len(content)] ^= mask
    (folder / path).write_bytes(content)
    assert verify(folder, pem) == (3 if path == "model.sig" else 1)
    assert capsys.readouterr().err.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda at: (at / "README.md").unlink(), "README.md"),
        (lambda at: (at / "extra.py").write_text("x"), "extra.py"),
        (lambda at: (at / "deep" / "extra").symlink_to("/nowhere"), "deep/extra"),
        (lambda at: (at / "model.sig").unlink(), "model.sig"),
        (lambda at: (at / "model.sig").write_text("{}"), "model.sig"),
        (lambda at: (at / "model.sig").write_bytes(signature() + b"\n"), "model.sig"),
        (lambda at: (at / "model.sig").write_bytes(bytes(5 << 20)), "model.sig"),
    ],
    ids=["missing", "extra", "link", "unsigned", "empty", "spaced", "huge"],
)
def test_nothing_may_be_missing_or_there_beside_it(model, pem, capsys, change, name):
    change(model)
    assert verify(model, pem) == (3 if name == "model.sig" else 1)
    assert capsys.readouterr().err.startswith(f"{name}: ")


def test_the_caches_of_the_hugging_face_client_pass(model, pem, tmp_path):
    notes = model / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    (notes / "README.md.metadata").write_text("theirs")
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for path in FILES:
        shutil.move(model / path, blobs / path.replace("/", "_"))
        (model / path).symlink_to(blobs / path.replace("/", "_"))
    assert verify(model, pem) == 0


@pytest.mark.parametrize("curve", [SECP256R1(), SECP384R1()], ids=["another", "kind"])
def test_another_key_is_refused(model, tmp_path, curve, capsys):
    pem = tmp_path / "other.pem"
    form = PublicFormat.SubjectPublicKeyInfo
    pem.write_bytes(generate_private_key(curve).public_key().public_bytes(Encoding.PEM, form))
    assert verify(model, pem) == (3 if curve.key_size == 256 else 4)


@contextmanager
def hub_showing(shown: list[str]) -> Iterator[str]:
    """A hub's address, with the keys that it shows at the well-known place."""

    class Shown(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_known = self.path == keys.WELL_KNOWN
            self.send_response(200 if is_known else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [{"pem": pem} for pem in shown]}).encode())

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Shown) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_hub_s_key_is_pinned_when_it_is_first_seen(model, pem, tmp_path, capsys):
    shown = [pem.read_text()]
    pins = ("--pins", str(tmp_path / "pins"))
    with hub_showing(shown) as hub:
        assert verify(model, hub, *pins) == 0
        shown.clear()
        assert verify(model, hub + "/", *pins) == 0  # as it was pinned
        (next((tmp_path / "pins").iterdir())).write_text("[]")
        assert verify(model, hub, *pins) == 4
        assert "does not know the hub by" in capsys.readouterr().err
        assert verify(model, hub, "--pins", str(tmp_path / "others")) == 4
    assert verify(model, hub, "--pins", str(tmp_path / "others")) == 4


@pytest.mark.parametrize("source", ["http://hub.example", "/nowhere/key.pem"])
def test_a_key_without_tls_or_file_is_refused(model, tmp_path, source):
    assert verify(model, source, "--pins", str(tmp_path)) == 4


def test_it_runs_with_nothing_of_ours_but_itself(model, pem):
    program = (
        "import sys; sys.path.insert(0, 'workers')\n"
        "from verifier.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally:\n"
        "    ours = {'federation', 'hub', 'jobs', 'agent', 'django', 'pydantic', 'model_signing'}\n"
        "    assert not ours & {name.split('.')[0] for name in sys.modules}, sys.modules\n"
    )
    command = [sys.executable, "-I", "-c", program, "model", str(model), "--key", str(pem)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
