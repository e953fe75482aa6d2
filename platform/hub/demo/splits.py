"""How a pooled data set is dealt out to organisations, so that its parts make the whole again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Row = Mapping[str, str]
Shares = Mapping[str, Sequence[float]]  # for each label, what each organisation gets of it
_MOST_NAMED = 4


class CorpusRefused(Exception):
    """The data cannot be used as asked; the message is a sentence for the person who asked."""


@dataclass(frozen=True, slots=True)
class Deal:
    """For each organisation, the rows of the training and of the test set that it gets."""

    train: list[list[Row]]
    test: list[list[Row]]
    subjects: list[str]


def deal(
    *, train: Sequence[Row], test: Sequence[Row], label: str, orgs: int, split: str, seed: int
) -> Deal:
    """Deal rows out by "iid", "dirichlet:ALPHA" or "by:COLUMN"; both sets by one rule.

    Every row goes to exactly one organisation. Raises `CorpusRefused` for an unknown rule, and
    where an organisation would be left with nothing.
    """
    kind, _, detail = split.partition(":")
    rng = _generator(seed)
    if kind == "by" and detail:
        dealt = _by_column(train, test, detail, orgs)
    elif kind == "dirichlet":
        labels = sorted({row[label] for row in (*train, *test)})
        dealt = _dirichlet(train, test, label, _shares(labels, orgs, _alpha(detail), rng), rng)
    elif split == "iid":
        dealt = _iid(train, test, orgs, rng)
    else:
        raise CorpusRefused(
            f"Unknown split {split!r}: choose iid, dirichlet:ALPHA (such as dirichlet:0.5) "
            "or by:COLUMN."
        )
    _everybody_has_something(dealt, split)
    return dealt


def sample_per_class(
    rows: Sequence[Row], *, label: str, per_class: int | None, seed: int
) -> list[Row]:
    """At most `per_class` rows of each label, drawn at random, in their old order."""
    if per_class is None:
        return list(rows)
    order = list(range(len(rows)))
    _generator(seed).shuffle(order)
    drawn: Counter[str] = Counter()
    kept = []
    for index in order:
        name = rows[index][label]
        if drawn[name] < per_class:
            drawn[name] += 1
            kept.append(index)
    return [rows[index] for index in sorted(kept)]


def _generator(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - it deals examples out and keeps no secret


def _iid(train: Sequence[Row], test: Sequence[Row], orgs: int, rng: random.Random) -> Deal:
    return Deal(
        train=_evenly(train, orgs, rng),
        test=_evenly(test, orgs, rng),
        subjects=["an even share of everything"] * orgs,
    )


def _evenly(rows: Sequence[Row], orgs: int, rng: random.Random) -> list[list[Row]]:
    order = list(range(len(rows)))
    rng.shuffle(order)
    return [[rows[index] for index in sorted(order[number::orgs])] for number in range(orgs)]


def _dirichlet(
    train: Sequence[Row], test: Sequence[Row], label: str, shares: Shares, rng: random.Random
) -> Deal:
    """Send the rows of each label, of training and test alike, out by the label's shares."""
    orgs = len(next(iter(shares.values())))
    return Deal(
        train=_by_shares(train, label, shares, rng),
        test=_by_shares(test, label, shares, rng),
        subjects=["an uneven share of every label"] * orgs,
    )


def _shares(labels: Iterable[str], orgs: int, alpha: float, rng: random.Random) -> Shares:
    """For each label one draw from a symmetric Dirichlet (Yurochkin et al. 2019, 1905.12022)."""
    return {label: [rng.gammavariate(alpha, 1.0) for _ in range(orgs)] for label in labels}


def _by_shares(
    rows: Sequence[Row], label: str, shares: Shares, rng: random.Random
) -> list[list[Row]]:
    orgs = range(len(next(iter(shares.values()))))
    dealt: list[list[Row]] = [[] for _ in orgs]
    for row in rows:
        dealt[rng.choices(orgs, shares[row[label]])[0]].append(row)
    return dealt


def _by_column(train: Sequence[Row], test: Sequence[Row], column: str, orgs: int) -> Deal:
    """Each value of the column to one organisation: neighbours in sorted order go together."""
    if column not in train[0] or column not in test[0]:
        raise CorpusRefused(f"The split by:{column} needs a column {column!r} in both files.")
    values = sorted({row[column] for row in (*train, *test)})
    if len(values) < orgs:
        raise CorpusRefused(
            f"Column {column!r} has {len(values)} values, too few for {orgs} organisations."
        )
    groups = [
        values[len(values) * number // orgs : len(values) * (number + 1) // orgs]
        for number in range(orgs)
    ]
    owner = {value: number for number, group in enumerate(groups) for value in group}
    return Deal(
        train=_by_owner(train, column, owner, orgs),
        test=_by_owner(test, column, owner, orgs),
        subjects=[_joined(group) for group in groups],
    )


def _by_owner(
    rows: Sequence[Row], column: str, owner: Mapping[str, int], orgs: int
) -> list[list[Row]]:
    dealt: list[list[Row]] = [[] for _ in range(orgs)]
    for row in rows:
        dealt[owner[row[column]]].append(row)
    return dealt


def _joined(values: Sequence[str]) -> str:
    names = [value.replace("_", " ") for value in values]
    if len(names) > _MOST_NAMED:
        names[_MOST_NAMED - 1 :] = [f"{len(names) - _MOST_NAMED + 1} more"]
    return " · ".join(names)


def _alpha(text: str) -> float:
    try:
        alpha = float(text)
    except ValueError:
        alpha = 0.0
    if not 0.0 < alpha < float("inf"):
        raise CorpusRefused(
            f"dirichlet needs a number above 0, such as dirichlet:0.5, not {text!r}."
        )
    return alpha


def _everybody_has_something(dealt: Deal, split: str) -> None:
    for number, (train, test) in enumerate(zip(dealt.train, dealt.test, strict=True), start=1):
        if not train or not test:
            raise CorpusRefused(
                f"With the split {split} organisation {number} would hold {len(train)} training "
                f"and {len(test)} test examples; take fewer organisations or another seed."
            )
