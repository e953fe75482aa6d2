from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db import connection

from federation.ledger import merkle
from hub.ledger.errors import NoSuchTree
from hub.ledger.models import Entry, Head, Node
from hub.ledger.selectors import consistency_proof, inclusion_proof, root_at
from tests.hub.ledger.conftest import Tell

# RFC 6962 over eight standard leaves, as published with transparency-dev/merkle.
LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
EIGHT_IN_A_TREE = merkle.nodes_of([merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES])


@pytest.fixture
def published(db: None) -> UUID:
    """A ledger with the published leaves, which are no entries."""
    log = uuid4()
    Head.objects.create(ledger=log, size=8, last=bytes(32))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_entry DISABLE TRIGGER USER")
    for (level, index), hash_ in EIGHT_IN_A_TREE.items():
        if level:
            Node.objects.create(ledger=log, level=level, index=index, hash=hash_)
        else:
            Entry.objects.create(
                ledger=log, key=str(index), type="x", payload="{}", position=index, leaf=hash_
            )
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_entry ENABLE TRIGGER USER")
    return log


def test_the_published_roots(published: UUID) -> None:
    assert [root_at(published, size).hex() for size in range(9)] == ROOTS


def test_every_inclusion_is_proved(published: UUID) -> None:
    for size in range(1, 9):
        for index in range(size):
            merkle.verify_inclusion(
                index=index,
                size=size,
                leaf=EIGHT_IN_A_TREE[0, index],
                proof=inclusion_proof(published, index, size),
                root=bytes.fromhex(ROOTS[size]),
            )


def test_every_consistency_is_proved(published: UUID) -> None:
    for new in range(1, 9):
        for old in range(1, new + 1):
            merkle.verify_consistency(
                old=old,
                new=new,
                old_root=bytes.fromhex(ROOTS[old]),
                new_root=bytes.fromhex(ROOTS[new]),
                proof=consistency_proof(published, old, new),
            )


@pytest.mark.parametrize(("old", "new"), [(0, 5), (0, 0), (5, 4), (5, 9), (-1, 5), (1, 2**60)])
def test_what_proves_nothing_is_refused(published: UUID, old: int, new: int) -> None:
    with pytest.raises(NoSuchTree):
        consistency_proof(published, old, new)


@pytest.mark.parametrize(("index", "size"), [(5, 5), (-1, 5), (0, 0), (0, 9), (2**60, 2**61)])
def test_an_entry_beyond_the_tree_is_refused(published: UUID, index: int, size: int) -> None:
    with pytest.raises(NoSuchTree):
        inclusion_proof(published, index, size)


@pytest.mark.django_db(transaction=True)
def test_a_proof_takes_three_queries(log: UUID, tell: Tell, django_assert_max_num_queries) -> None:
    tell(*(f"act:{number}" for number in range(70)))
    with django_assert_max_num_queries(3):
        inclusion_proof(log, 3, 69)
    with django_assert_max_num_queries(3):
        consistency_proof(log, 13, 69)
