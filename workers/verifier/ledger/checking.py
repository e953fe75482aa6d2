"""Checks a whole export, in as many processes as there are: each row, then what joins them.

The file is read twice, first for the keys. What is kept in memory is 32 bytes for each entry, and
of rounds what later ones are held against.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from verifier.faults import Unusable, Wrong
from verifier.ledger import notes, rows, trees
from verifier.ledger.chunks import Found, Known, check_rows
from verifier.ledger.keys import MARK, Keyring
from verifier.ledger.lineage import Lineage

PIECE_BYTES = 1 << 20
SMALL_BYTES = 1 << 22  # below that no further process is worth its start
AHEAD = 3  # pieces for each process that wait or are done


@dataclass(slots=True)
class Ledger:
    """An export that was found to be right, as far as it goes."""

    ledger: str = ""
    key: str = ""
    leaves: bytearray = field(default_factory=bytearray)
    checkpoints: list[tuple[str, int, bytes, list[str]]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    @property
    def size(self) -> int:
        return len(self.leaves) // trees.HASH_BYTES

    def leaf(self, index: int) -> bytes:
        return bytes(self.leaves[index * trees.HASH_BYTES : (index + 1) * trees.HASH_BYTES])


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of the file: where they lie, and which index their first entry should have."""

    first: int
    begin: int
    size_bytes: int


@dataclass(slots=True)
class Survey:
    """What is known of an export before its rows are checked."""

    known: Known
    pieces: list[Piece]


def check(path: Path, *, pinned: notes.Key | None = None, processes: int = 0) -> Ledger:
    """Check an export from the first row to the last.

    `pinned`: the ledger's key, from somewhere else. Raises Wrong for the first entry that is, and
    Unusable.
    """
    surveyed = survey(path, pinned)
    known = surveyed.known
    progress = _Progress(Ledger(key=f"{known.ledger_key.name}+{known.ledger_key.id.hex()}"))
    for found in _checked(path, surveyed, processes or os.cpu_count() or 1):
        progress.take(found)
    progress.end()
    return progress.ledger


def survey(path: Path, pinned: notes.Key | None = None) -> Survey:
    """Read the keys, the ledger's and those of the agents, and where rows lie.

    Raises Wrong, Unusable.
    """
    keyring, troubles, pieces, last = Keyring(), dict[int, str](), list[Piece](), b""
    index = place = 0
    with rows.opened(path) as file:
        for some in rows.pieces(file, PIECE_BYTES):
            if MARK in some:
                _learn_all(keyring, troubles, index, some)
            pieces.append(Piece(index, place, len(some)))
            index += rows.entries_in(some)
            place += len(some)
            last = some
    last = last[last.rfind(b"\n", 0, -1) + 1 :]
    if not index and not last.startswith(rows.KEY):
        raise Unusable(f"{path} is no export of a ledger")
    return Survey(Known(keyring, _ledger_key(last, pinned), troubles), pieces)


def _learn_all(keyring: Keyring, troubles: dict[int, str], index: int, some: bytes) -> None:
    for line in rows.lines_in(some):
        if rows.tells_of_a_key(line):
            _learn(keyring, troubles, index, line)
        index += line.startswith(rows.ENTRY)


def _learn(keyring: Keyring, troubles: dict[int, str], index: int, line: bytes) -> None:
    try:
        entry = rows.entry_of(line)
        keyring.learn(index, entry.type, entry.payload)
    except Wrong as wrong:
        troubles[index] = wrong.reason
    except (KeyError, TypeError, AttributeError) as error:
        troubles[index] = f"it lacks what such an entry has: {error!r}"


def _ledger_key(last: bytes, pinned: notes.Key | None) -> notes.Key:
    try:
        found = rows.key_of(last)
    except Wrong as wrong:
        if pinned is None:
            raise wrong.at("the ledger's key, in the last row") from wrong
        return pinned
    if pinned is not None and found != pinned:
        raise Wrong("it is another than the one given", "the ledger's key")
    return found


def _checked(path: Path, surveyed: Survey, processes: int) -> Iterator[Found]:
    """What each piece of the file came to, in order."""
    if processes == 1 or path.stat().st_size <= SMALL_BYTES:
        for piece in surveyed.pieces:
            yield _check(surveyed.known, path, piece)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (surveyed.known, path)) as pool:
        waiting = deque[Future[Found]]()
        for piece in surveyed.pieces:
            waiting.append(pool.submit(_check_here, piece))
            if len(waiting) > AHEAD * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _check(known: Known, path: Path, piece: Piece) -> Found:
    with rows.opened(path) as file:
        file.seek(piece.begin)
        some = file.read(piece.size_bytes)
    return check_rows(known, piece.first, rows.lines_in(some))


_here: list[tuple[Known, Path]] = []  # of a process of the pool


def _begin(known: Known, path: Path) -> None:
    gc.disable()  # entries have no cycles, and there are millions
    _here[:] = [(known, path)]


def _check_here(piece: Piece) -> Found:
    known, path = _here[0]
    return _check(known, path, piece)


class _Progress:
    """What joins the pieces: the chain, one act for each key, lineage, the tree."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._lineage = Lineage()
        self._acts = set[bytes]()
        self._time = ""

    def take(self, found: Found) -> None:
        """The next piece. Raises Wrong."""
        if found.acts:
            self._join(found)
            self._follow(found)
        self.ledger.checkpoints += found.checkpoints
        self.ledger.counted.update(found.counted)
        if found.wrong:
            raise found.wrong

    def _join(self, found: Found) -> None:
        size, where = self.ledger.size, f"entry {found.first}"
        last = self.ledger.leaf(size - 1) if size else trees.NO_HASH
        if found.first != size or found.before != last:
            raise Wrong("it does not follow the entry before it", where)
        if self.ledger.ledger not in {"", found.ledger}:
            raise Wrong("it is of another ledger", where)
        if found.first_time < self._time:
            raise Wrong("it is older than the entry before it", where)
        self.ledger.ledger, self._time = found.ledger, found.last_time
        self.ledger.leaves += found.leaves

    def _follow(self, found: Found) -> None:
        told = iter(found.told)
        following = next(told, None)
        for index, act in enumerate(found.acts, found.first):
            if act in self._acts:
                raise Wrong("its key stands for an entry before it, too", f"entry {index}")
            self._acts.add(act)
            if following and following[0] == index:
                self._one(*following)
                following = next(told, None)

    def _one(self, index: int, kind: str, key: str, said: dict[str, object]) -> None:
        try:
            self._lineage.follow(kind, key, said)
        except Wrong as wrong:
            raise wrong.at(f"entry {index}") from wrong
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            told = f"it lacks what such an entry has: {error!r}"
            raise Wrong(told, f"entry {index}") from error

    def end(self) -> None:
        """Hold the tree against all checkpoints. Raises Wrong."""
        ledger = self.ledger
        origin = f"/federations/{ledger.ledger}"
        said = {size: root for _, size, root, _ in ledger.checkpoints}
        if len(said) < len(ledger.checkpoints):
            raise Wrong("two of them are of one size", "the checkpoints")
        for name, size, _, _ in ledger.checkpoints:
            if not name.endswith(origin):
                raise Wrong(f"it is of {name}", f"the checkpoint of size {size}")
        check_roots(ledger, said, "the checkpoint of size {}")
        if not said:
            raise Wrong("no checkpoint covers it", "entry 0")
        if uncovered := ledger.size - max(said):
            ledger.counted["unsigned"] = uncovered  # the next checkpoint will have them


def check_roots(ledger: Ledger, said: dict[int, bytes], where: str) -> None:
    """Raise Wrong unless the ledger had these roots at these sizes."""
    sizes = sorted(said)
    if sizes and sizes[-1] > ledger.size:
        told = f"the export has {ledger.size} entries only"
        raise Wrong(told, where.format(sizes[-1]))
    for size, root in trees.roots(ledger.leaves, sizes):
        if said[size] != root:
            raise Wrong("the entries before it have another root", where.format(size))
