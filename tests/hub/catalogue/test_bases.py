"""Base models: what a folder must be, and that the same folder is the same model."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from pathlib import Path
from struct import pack

import pytest
from django.core.management import CommandError, call_command

from hub.catalogue.bases.registering import register_base_model, register_packaged_model
from hub.catalogue.blobs.storage import store
from hub.catalogue.errors import BaseModelChanged, BaseModelRefused
from hub.catalogue.models import Artifact, BaseModel
from hub.catalogue.versions.registry import revision_of
from tests.factories.catalogue import safetensors_bytes, sha256_hex

pytestmark = pytest.mark.django_db

FACTS = {"slug": "tiny", "name": "Tiny", "licence": "Apache-2.0"}


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "tiny"
    (made / "1_Pooling").mkdir(parents=True)
    (made / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    (made / "tokenizer_config.json").write_text("{}")
    (made / "vocab.txt").write_text("[PAD]\nhello\n")
    (made / "1_Pooling" / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(safetensors_bytes((3, 4)))
    (made / ".gitattributes").write_text("*.bin lfs")
    return made


def refusal(folder: Path, **changes: str) -> str:
    with pytest.raises(BaseModelRefused) as refused:
        register_base_model(folder=folder, **{**FACTS, **changes})
    assert not BaseModel.objects.exists()
    assert not Artifact.objects.exists()
    return refused.value.detail


def test_every_visible_file_is_taken_in_under_its_digest(folder):
    base = register_base_model(folder=folder, **FACTS)
    files = {file.path: file.artifact_id for file in base.files.all()}
    assert sorted(files) == [
        "1_Pooling/config.json",
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    for path, sha256 in files.items():
        assert store().local_path(sha256).read_bytes() == (folder / path).read_bytes()
    assert base.revision == revision_of(files)
    assert (base.repo, base.architecture, base.parameters) == ("base/tiny", "BertModel", 12)


def test_a_revision_is_the_digest_of_the_sorted_list_of_files():
    a, b = "a" * 64, "b" * 64
    assert revision_of({"b": b, "a": a}) == sha256_hex(f"a {a}\nb {b}\n".encode())[:40]


def test_the_same_folder_again_is_the_same_model(folder):
    first = register_base_model(folder=folder, **FACTS)
    assert register_base_model(folder=folder, **FACTS) == first
    assert BaseModel.objects.count() == 1


def test_a_changed_file_needs_another_name(folder):
    first = register_base_model(folder=folder, **FACTS)
    (folder / "vocab.txt").write_text("[PAD]\ngoodbye\n")
    with pytest.raises(BaseModelChanged):
        register_base_model(folder=folder, **FACTS)
    second = register_base_model(folder=folder, **{**FACTS, "slug": "tiny-2"})
    assert second.revision != first.revision
    shared = {file.artifact_id for file in first.files.all()}
    assert len(shared & {file.artifact_id for file in second.files.all()}) == 3


def test_the_same_files_have_one_name(folder):
    register_base_model(folder=folder, **FACTS)
    with pytest.raises(BaseModelChanged, match="Tiny"):
        register_base_model(folder=folder, **{**FACTS, "slug": "other"})


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "model.pt",
        "weights.pkl",
        "modeling.py",
        "run.sh",
        "archive.zip",
        "model.gguf",
        "no_suffix",
        "two words.json",
        "naïve.json",
    ],
)
def test_what_could_hold_code_is_refused(folder, name):
    (folder / name).write_bytes(b"\x80\x04cposix\nsystem\n")
    assert name in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_configuration_that_wants_to_run_code_is_refused(folder, name):
    (folder / name).write_text(json.dumps({"architectures": ["X"], "auto_map": {"AutoModel": "m"}}))
    assert "auto_map" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_without_what_a_model_needs_is_refused(folder, name):
    (folder / name).unlink()
    assert refusal(folder)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\x00" * 100, b"PK\x03\x04" * 9])
def test_weights_that_are_not_safetensors_are_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    assert "model.safetensors" in refusal(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"architectures": []}', "{}"])
def test_a_configuration_that_says_nothing_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    assert "config.json" in refusal(folder)


@pytest.mark.parametrize("slug", ["", "Tiny", "a/b", "..", "a--b", "-a"])
def test_a_name_that_is_no_address_is_refused(folder, slug):
    refusal(folder, slug=slug)


def test_tables_of_indices_are_no_parameters(folder):
    header = {
        "ids": {"dtype": "I64", "shape": [2], "data_offsets": [0, 16]},
        "weight": {"dtype": "F16", "shape": [3], "data_offsets": [16, 22]},
    }
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(pack("<Q", len(text)) + text + bytes(22))
    assert register_base_model(folder=folder, **FACTS).parameters == 3


def test_the_encoder_that_a_package_carries_is_taken_in():
    base = register_packaged_model(package="minilm")
    assert (base.repo, base.parameters) == ("base/all-minilm-l6-v2", 22_713_216)
    assert {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt"} <= {
        file.path for file in base.files.all()
    }
    assert register_packaged_model(package="minilm") == base


def test_the_command_registers_a_folder_and_says_what_it_is(folder):
    said = StringIO()
    options = {"slug": "tiny", "name": "Tiny", "licence": "MIT", "stdout": said}
    call_command("register_base_model", str(folder), **options)
    call_command("register_base_model", str(folder), **options)
    base = BaseModel.objects.get()
    assert said.getvalue() == f"base/tiny {base.revision} 12 parameters\n" * 2


def test_the_command_says_what_is_missing_or_wrong(folder, tmp_path):
    for arguments, options in (
        ([], {}),
        ([str(tmp_path / "nothing")], FACTS),
        ([str(folder)], {**FACTS, "licence": None}),
    ):
        with pytest.raises(CommandError):
            call_command("register_base_model", *arguments, **options)
    shutil.copy(folder / "vocab.txt", folder / "evil.py")
    with pytest.raises(CommandError, match=r"evil\.py"):
        call_command("register_base_model", str(folder), **FACTS)
