from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from federation.probes import read_probe
from hub.demo.corpus import (
    Corpus,
    CorpusRefused,
    build_docstring_corpus,
    build_from_folder,
)
from hub.demo.docstrings import MOST_PER_MODULE, MOST_PUBLIC, SUBJECTS

COLOURS = ("red", "green", "blue", "grey", "pink", "teal")


@pytest.fixture(scope="module")
def docstrings(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build_docstring_corpus(tmp_path_factory.mktemp("docstrings") / "corpus")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A user's folder: six colours of three kinds, 20 training and 10 test rows each."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, count in (("train.csv", 20), ("test.csv", 10)):
        lines = [
            f'"{name} text {number}, with a comma",{colour},kind-{COLOURS.index(colour) // 2}'
            for number in range(count)
            for colour in COLOURS
        ]
        (folder / name).write_text("\n".join(["text,colour,kind", *lines]) + "\n", "utf-8")
    return folder


def build(source: Path, folder: Path, **changes: object) -> Corpus:
    options = {"label": "colour", "orgs": 3, "split": "iid", "per_class": None, "seed": 0}
    return build_from_folder(source=source, folder=folder, **(options | changes))


def rows(folder: Path, name: str) -> list[tuple[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def everything(corpus: Corpus, name: str) -> Counter[tuple[str, str]]:
    return Counter(row for org in corpus.organisations for row in rows(org.folder, name))


def test_the_standard_library_gives_five_organisations_of_different_size(docstrings):
    sizes = [org.train_examples for org in docstrings.organisations]
    assert len(set(sizes)) == len(SUBJECTS) == 5
    assert 1200 <= sum(sizes) + sum(org.test_examples for org in docstrings.organisations) <= 2000
    assert 38 <= len(docstrings.labels) <= 41
    assert len({org.rank for org in docstrings.organisations}) > 1


def test_no_docstring_is_in_training_and_test_or_under_two_modules(docstrings):
    train, test = rows(docstrings.pooled, "train.csv"), rows(docstrings.pooled, "test.csv")
    texts = [text for text, _ in (*train, *test)]
    assert len(set(texts)) == len(texts)


def test_everybody_may_read_a_few_docstrings_that_no_organisation_owns(docstrings):
    probe = read_probe(docstrings.probe)
    assert 30 <= len(probe) <= MOST_PUBLIC * len(docstrings.labels)
    assert probe.form == "labelled"
    assert set(probe.labels) <= set(docstrings.labels)
    assert max(probe.labels.values()) == MOST_PUBLIC
    owned = {row for name in ("train.csv", "test.csv") for row in rows(docstrings.pooled, name)}
    assert not {row["text"] for row in probe.rows} & {text for text, _ in owned}


def test_data_of_the_users_own_are_nobody_elses_to_read(source, tmp_path):
    assert build(source, tmp_path / "corpus").probe == b""


def test_every_module_is_in_training_and_test_and_none_is_too_large(docstrings):
    train = Counter(label for _, label in rows(docstrings.pooled, "train.csv"))
    test = Counter(label for _, label in rows(docstrings.pooled, "test.csv"))
    assert set(train) == set(test) == set(docstrings.labels)
    assert max((train + test).values()) <= MOST_PER_MODULE


def test_modules_belong_to_one_organisation_each(docstrings):
    owned = [{label for _, label in rows(o.folder, "train.csv")} for o in docstrings.organisations]
    assert sum(map(len, owned)) == len(docstrings.labels)


def test_the_pooled_folder_is_the_union_of_the_organisations(docstrings):
    for name in ("train.csv", "test.csv"):
        assert everything(docstrings, name) == Counter(rows(docstrings.pooled, name))


def test_the_same_python_gives_the_same_docstrings_again(docstrings, tmp_path):
    again = build_docstring_corpus(tmp_path / "again")
    for name in ("train.csv", "test.csv"):
        assert (again.pooled / name).read_bytes() == (docstrings.pooled / name).read_bytes()


@pytest.mark.parametrize("split", ["iid", "dirichlet:0.5", "dirichlet:5", "by:kind"])
def test_every_split_hands_out_every_row_once(source, tmp_path, split):
    corpus = build(source, tmp_path / "corpus", split=split)
    for name, total in (("train.csv", 120), ("test.csv", 60)):
        assert everything(corpus, name) == Counter(rows(corpus.pooled, name))
        assert len(rows(corpus.pooled, name)) == total
    assert corpus.labels == tuple(sorted(COLOURS))


@pytest.mark.parametrize("split", ["iid", "dirichlet:0.5", "by:kind"])
def test_the_same_seed_gives_the_same_parts(source, tmp_path, split):
    one = build(source, tmp_path / "one", split=split, per_class=7)
    two = build(source, tmp_path / "two", split=split, per_class=7)
    for left, right in zip(one.organisations, two.organisations, strict=True):
        assert rows(left.folder, "train.csv") == rows(right.folder, "train.csv")


def test_another_seed_gives_other_parts(source, tmp_path):
    one = build(source, tmp_path / "one", seed=1).organisations[0]
    two = build(source, tmp_path / "two", seed=2).organisations[0]
    assert rows(one.folder, "train.csv") != rows(two.folder, "train.csv")


def test_the_pooled_test_set_is_the_users_own_whatever_the_limit_per_class(source, tmp_path):
    corpus = build(source, tmp_path / "corpus", per_class=4)
    with (source / "test.csv").open(encoding="utf-8") as file:
        theirs = Counter((row["text"], row["colour"]) for row in csv.DictReader(file))
    assert everything(corpus, "test.csv") == theirs
    trained = Counter(label for _, label in rows(corpus.pooled, "train.csv"))
    assert trained == dict.fromkeys(COLOURS, 4)


def test_a_column_s_neighbouring_values_go_to_one_organisation(source, tmp_path):
    corpus = build(source, tmp_path / "corpus", orgs=2, split="by:kind")
    owned = [{label for _, label in rows(o.folder, "train.csv")} for o in corpus.organisations]
    assert owned == [{"red", "green"}, {"blue", "grey", "pink", "teal"}]
    assert [o.subject for o in corpus.organisations] == ["kind-0", "kind-1 · kind-2"]


def test_iid_parts_differ_by_one_row_at_most(source, tmp_path):
    corpus = build(source, tmp_path / "corpus", orgs=7)
    sizes = [org.train_examples for org in corpus.organisations]
    assert max(sizes) - min(sizes) <= 1


def test_what_is_there_is_not_built_again(source, tmp_path):
    first = build(source, tmp_path / "corpus")
    marked = first.organisations[0].folder / "train.csv"
    marked.write_text("text,label\nmine,red\n", "utf-8")
    assert build(source, tmp_path / "corpus") == first
    assert rows(marked.parent, "train.csv") == [("mine", "red")]


def test_other_parameters_or_other_data_are_built_anew(source, tmp_path):
    build(source, tmp_path / "corpus")
    assert len(build(source, tmp_path / "corpus", orgs=2).organisations) == 2
    with (source / "train.csv").open("a", encoding="utf-8") as file:
        file.write("one more,red,kind-0\n")
    corpus = build(source, tmp_path / "corpus", orgs=2)
    assert sum(org.train_examples for org in corpus.organisations) == 121


def test_a_folder_with_something_else_in_it_is_left_alone(source, tmp_path):
    precious = tmp_path / "corpus" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("do not lose", "utf-8")
    with pytest.raises(CorpusRefused, match="holds something else"):
        build(source, precious.parent)
    assert precious.read_text("utf-8") == "do not lose"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"split": "by-lot"}, "Unknown split 'by-lot'"),
        ({"split": "by:"}, "Unknown split 'by:'"),
        ({"split": "by:continent"}, "needs a column 'continent'"),
        ({"split": "by:kind", "orgs": 4}, "has 3 values, too few for 4"),
        ({"split": "dirichlet:none"}, "a number above 0"),
        ({"split": "dirichlet:-1"}, "a number above 0"),
        ({"label": "flavour"}, "train.csv has no column 'flavour'"),
        ({"orgs": 61}, "would hold 1 training and 0 test"),
        ({"orgs": 0}, "must be 1 or more"),
        ({"per_class": 0}, "must be 1 or more"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(source, tmp_path, changes, sentence):
    with pytest.raises(CorpusRefused, match=sentence):
        build(source, tmp_path / "corpus", **changes)
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "There is no file test.csv"),
        (b"", "test.csv has no column 'text'"),
        (b"text,colour,kind\n", "test.csv has no rows"),
        (b"text,colour,kind\nshort\n", "Row 1 of test.csv does not fit its header"),
        (b"text,colour,kind\na,b,c,d\n", "Row 1 of test.csv does not fit its header"),
        (b"text,colour,kind\n\xff\xfe,red,kind-0\n", "not CSV in UTF-8"),
        (b"text,colour,kind\nsky,azure,kind-0\n", "labels that train.csv lacks: azure"),
    ],
)
def test_files_that_do_not_fit_are_refused_with_a_sentence(source, tmp_path, content, sentence):
    (source / "test.csv").unlink()
    if content is not None:
        (source / "test.csv").write_bytes(content)
    with pytest.raises(CorpusRefused, match=sentence):
        build(source, tmp_path / "corpus")
