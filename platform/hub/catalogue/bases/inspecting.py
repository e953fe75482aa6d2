"""What may be part of a base model: files that can hold no code, by their names and their bytes.

Configurations may name Python of their own, which libraries would fetch and run: such are refused.
Nothing here imports torch, and nothing is read that was not bounded first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from contextlib import closing
from math import prod
from pathlib import PurePosixPath
from typing import Any

from django.utils.translation import gettext as _

from federation.layout import BASE_ITEM_BYTES, LayoutRefused, header_end, parse_header
from hub.catalogue.blobs.storage import BLOCK_BYTES, Readable
from hub.catalogue.errors import BaseModelRefused

# What can hold no code: weights, JSON, text, and the tokenizers that are neither.
SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".md", ".model", ".jinja"})
BARE_NAMES = frozenset({"LICENSE", "LICENCE", "NOTICE"})
LICENCES = ("LICENSE", "LICENCE", "LICENSE.txt", "LICENCE.txt", "LICENSE.md", "LICENCE.md")
PATH = re.compile(r"[A-Za-z0-9_+=-][A-Za-z0-9._+=-]*(/[A-Za-z0-9_+=-][A-Za-z0-9._+=-]*)*")
LONGEST_PATH = 200
MOST_FILES = 500
CONFIG, WEIGHTS = "config.json", ".safetensors"
OBJECTS = frozenset({CONFIG, "tokenizer_config.json"})
CONFIG_BYTES = 1 << 20  # larger JSON is vocabulary: held against its first byte and not parsed
WORDS_BYTES = 256 << 20  # of a vocabulary or a text
CODE_FIELDS = frozenset({"auto_map", "custom_pipelines"})  # name Python that is to be run
MODULES = "modules.json"  # of sentence-transformers: a list of classes by name
KNOWN_MODULES = "sentence_transformers."
HEADER_START = 9  # bytes of a safetensors file that tell how long its header is
DISGUISED = (b"\x80", b"PK\x03\x04", b"\x1f\x8b", b"GGUF", b"\x7fELF", b"#!")


def check_path(path: str) -> None:
    """Raises BaseModelRefused unless a file of this name could hold no code."""
    name = PurePosixPath(path)
    is_known = name.suffix in SUFFIXES or name.name in BARE_NAMES
    if not is_known or len(path) > LONGEST_PATH or not PATH.fullmatch(path):
        said = _("only weights as safetensors, JSON and text; not %(path)s")
        raise BaseModelRefused(said % {"path": path[:200]})


def check_names(paths: Collection[str]) -> None:
    """Raises BaseModelRefused unless there is what a base model needs, under harmless names."""
    for path in paths:
        check_path(path)
    if len(paths) > MOST_FILES:
        said = _("%(count)s files, where %(most)s are allowed")
        raise BaseModelRefused(said % {"count": len(paths), "most": MOST_FILES})
    if CONFIG not in paths or not any(path.endswith(WEIGHTS) for path in paths):
        raise BaseModelRefused(_("a base model has a config.json and weights as safetensors"))


def parameters_in(path: str, size_bytes: int, opened: Callable[[], Readable]) -> int:
    """Look into one file; returns how many numbers of a model it holds.

    Raises:
        BaseModelRefused: it is not what its name says, or names code.
    """
    with closing(opened()) as source:
        if path.endswith(WEIGHTS):
            return _parameters(path, size_bytes, source)
        _check_words(path, size_bytes, source)
    return 0


def configuration(path: str, content: bytes) -> dict[str, Any]:
    """Raises BaseModelRefused for what is no object of JSON, or names code."""
    config = _json(path, content)
    if not isinstance(config, dict):
        raise BaseModelRefused(_("%(path)s is not an object") % {"path": path})
    return config


def architecture_of(content: bytes) -> str:
    """What `config.json` says the model is."""
    config = configuration(CONFIG, content)
    named = config.get("architectures") or [config.get("model_type")]
    if not isinstance(named, list) or not isinstance(named[0], str):
        raise BaseModelRefused(_("config.json names no architecture"))
    return named[0][:80]


def _parameters(path: str, size_bytes: int, source: Readable) -> int:
    """Index tables are no parameters."""
    try:
        head = source.read(HEADER_START)
        head += _exactly(source, header_end(head, size_bytes) - len(head))
        tensors = parse_header(head, size_bytes, BASE_ITEM_BYTES).tensors.values()
    except LayoutRefused as refused:
        raise BaseModelRefused(f"{path}: {refused.detail}") from refused
    return sum(prod(tensor.shape) for tensor in tensors if "F" in tensor.dtype)


def _exactly(source: Readable, size: int) -> bytes:
    blocks = []
    while size > 0 and (block := source.read(min(size, BLOCK_BYTES))):
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)


def _check_words(path: str, size_bytes: int, source: Readable) -> None:
    if size_bytes > WORDS_BYTES:
        said = _("%(path)s has %(size)s bytes, more than any vocabulary")
        raise BaseModelRefused(said % {"path": path, "size": size_bytes})
    head = _exactly(source, CONFIG_BYTES)
    if head.startswith(DISGUISED):
        raise BaseModelRefused(_("%(path)s is not what its name says") % {"path": path})
    if path.endswith(".json"):
        _check_json(path, size_bytes, head)
    elif not path.endswith(".model"):
        _check_text(path, head, source)


def _check_json(path: str, size_bytes: int, head: bytes) -> None:
    if size_bytes > CONFIG_BYTES:
        if path.endswith(CONFIG) or head.lstrip()[:1] not in {b"{", b"["}:
            said = _("%(path)s is no configuration, and no vocabulary in JSON")
            raise BaseModelRefused(said % {"path": path})
        return
    found = _json(path, head)
    if PurePosixPath(path).name in OBJECTS and not isinstance(found, dict):
        raise BaseModelRefused(_("%(path)s is not an object") % {"path": path})
    if PurePosixPath(path).name == MODULES:
        _check_modules(path, found)


def _json(path: str, content: bytes) -> Any:
    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise BaseModelRefused(_("%(path)s says something twice") % {"path": path})
        if fields := CODE_FIELDS & found.keys():
            said = _("%(path)s wants to run code of its own (%(field)s)")
            raise BaseModelRefused(said % {"path": path, "field": min(fields)})
        return found

    try:
        return json.loads(content, object_pairs_hook=checked)
    except (ValueError, RecursionError) as error:
        raise BaseModelRefused(_("%(path)s is not JSON") % {"path": path}) from error


def _check_modules(path: str, modules: Any) -> None:
    """Each is a class that the library imports by name."""
    listed = modules if isinstance(modules, list) else [modules]
    for module in listed:
        name = module.get("type") if isinstance(module, dict) else None
        if not isinstance(name, str) or not name.startswith(KNOWN_MODULES):
            raise BaseModelRefused(_("%(path)s wants to run code of its own") % {"path": path})


def _check_text(path: str, head: bytes, source: Readable) -> None:
    block = head
    while block:
        if b"\0" in block:
            raise BaseModelRefused(_("%(path)s is not text") % {"path": path})
        block = source.read(BLOCK_BYTES)
