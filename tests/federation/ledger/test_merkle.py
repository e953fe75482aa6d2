import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.ledger import merkle
from federation.ledger.merkle import CompactRange, ProofWrong, TreeWrong

# The eight leaves and the roots over the first n of them that the reference implementations of
# RFC 6962 are tested with (transparency-dev/merkle).
CONTENTS = [
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
LEAVES = [merkle.leaf_hash(bytes([number // 256, number % 256])) for number in range(300)]
NODES = merkle.nodes_of(LEAVES)

sizes = st.integers(1, len(LEAVES))


def slow_root(leaves):
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = next(2**k for k in range(20) if 2**k < len(leaves) <= 2 ** (k + 1))
    return merkle.node_hash(slow_root(leaves[:split]), slow_root(leaves[split:]))


def slow_path(index, leaves):
    """RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    split = next(2**k for k in range(20) if 2**k < len(leaves) <= 2 ** (k + 1))
    if index < split:
        return [*slow_path(index, leaves[:split]), slow_root(leaves[split:])]
    return [*slow_path(index - split, leaves[split:]), slow_root(leaves[:split])]


def slow_proof(old, leaves, known=True):
    """RFC 6962, section 2.1.2."""
    if old == len(leaves):
        return [] if known else [slow_root(leaves)]
    split = next(2**k for k in range(20) if 2**k < len(leaves) <= 2 ** (k + 1))
    if old <= split:
        return [*slow_proof(old, leaves[:split], known), slow_root(leaves[split:])]
    return [*slow_proof(old - split, leaves[split:], False), slow_root(leaves[:split])]


def test_the_roots_are_those_of_the_reference_implementations():
    tree, found = CompactRange(), []
    for content in CONTENTS:
        found.append(tree.root.hex())
        tree.append(merkle.leaf_hash(bytes.fromhex(content)))
    assert [*found, tree.root.hex()] == ROOTS


@given(size=st.integers(0, len(LEAVES)))
def test_the_root_is_the_one_of_the_definition(size):
    assert merkle.root(size, NODES.__getitem__) == slow_root(LEAVES[:size])


@given(size=sizes, data=st.data())
def test_every_leaf_is_proved_and_no_other(size, data):
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, NODES.__getitem__)
    root = slow_root(LEAVES[:size])
    assert proof == slow_path(index, LEAVES[:size])
    merkle.verify_inclusion(index=index, size=size, leaf=LEAVES[index], proof=proof, root=root)
    with pytest.raises(ProofWrong):
        merkle.verify_inclusion(
            index=index, size=size, leaf=merkle.leaf_hash(b"forged"), proof=proof, root=root
        )
    for elsewhere in {(index + 1) % size, index - 1} - {index}:
        with pytest.raises(ProofWrong):
            merkle.verify_inclusion(
                index=elsewhere, size=size, leaf=LEAVES[index], proof=proof, root=root
            )


@given(old=sizes, new=sizes)
def test_every_tree_is_proved_to_extend_each_smaller_one(old, new):
    old, new = sorted((old, new))
    proof = merkle.consistency_proof(old, new, NODES.__getitem__)
    roots = {"old_root": slow_root(LEAVES[:old]), "new_root": slow_root(LEAVES[:new])}
    assert proof == slow_proof(old, LEAVES[:new])
    merkle.verify_consistency(old=old, new=new, proof=proof, **roots)
    for side in roots:
        with pytest.raises(ProofWrong):
            merkle.verify_consistency(old=old, new=new, proof=proof, **roots | {side: b"\7" * 32})


@given(old=sizes, new=sizes, at=st.integers(0, 300), data=st.data())
def test_a_tree_with_another_leaf_before_is_never_proved_to_extend(old, new, at, data):
    old, new = sorted((old, new))
    forged = [*LEAVES]
    forged[at % old] = merkle.leaf_hash(b"forged")
    nodes = merkle.nodes_of(forged[:new])
    with pytest.raises(ProofWrong):
        merkle.verify_consistency(
            old=old,
            new=new,
            proof=merkle.consistency_proof(old, new, nodes.__getitem__),
            old_root=slow_root(LEAVES[:old]),
            new_root=slow_root(forged[:new]),
        )


@given(size=sizes, data=st.data())
def test_a_proof_of_another_length_is_refused(size, data):
    index = data.draw(st.integers(0, size - 1))
    root, proof = slow_root(LEAVES[:size]), slow_path(index, LEAVES[:size])
    for other in ([*proof, root], proof[:-1] if proof else [root], [*proof, b"short"]):
        with pytest.raises(ProofWrong):
            merkle.verify_inclusion(
                index=index, size=size, leaf=LEAVES[index], proof=other, root=root
            )


@given(
    old=st.integers(-1, 2**60),
    new=st.integers(-1, 2**60),
    proof=st.lists(st.binary(min_size=32, max_size=32), max_size=120),
)
def test_proofs_out_of_thin_air_are_refused_in_bounded_time(old, new, proof):
    with pytest.raises(ProofWrong):
        merkle.verify_consistency(
            old=old, new=new, proof=proof, old_root=LEAVES[0], new_root=LEAVES[1]
        )
    with pytest.raises(ProofWrong):
        merkle.verify_inclusion(index=old, size=new, leaf=LEAVES[0], proof=proof, root=LEAVES[1])


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5), (-1, 5), (1, 2**53)])
def test_there_is_no_proof_from_nothing_to_less_or_beyond_counting(old, new):
    with pytest.raises(TreeWrong):
        merkle.consistency_nodes(old, new)


@pytest.mark.parametrize("index", [-1, 5, 6])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index):
    with pytest.raises(TreeWrong):
        merkle.inclusion_nodes(index, 5)


def test_a_proof_in_a_tree_of_a_million_asks_for_few_nodes():
    asked = merkle.inclusion_nodes(123_456, 1_000_003)
    assert len(asked) <= 20
    assert sum(map(len, asked)) <= 40


def test_each_leaf_completes_each_node_once():
    tree, made = CompactRange(), []
    for leaf in LEAVES:
        made += tree.append(leaf)
    assert len(made) == len(set(made)) == len(NODES)
    assert tree.root == slow_root(LEAVES)
