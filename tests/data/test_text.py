"""Texts: their characters as numbers, their windows, their division, and what is said of files that are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.data import CharacterVocabulary, DataLoader, load_text
from minigrad.data import text as text_module
from minigrad.data.text import REPLACEMENT, corpus_of, docstrings
from minigrad.errors import ArgumentError, DataError

# ------------------------------------------------ vocabulary


@given(st.text(), st.text())
def test_a_text_comes_back_but_for_unknown_characters(known, other):
    vocabulary = CharacterVocabulary(known)
    text = known + other
    tokens = vocabulary.encode(text)
    assert tokens.dtype == np.int64
    assert tokens.shape == (len(text),)
    assert vocabulary.decode(tokens) == "".join(c if c in known else REPLACEMENT for c in text)


def test_the_vocabulary_is_sorted_and_knows_the_replacement():
    vocabulary = CharacterVocabulary("zebra" + REPLACEMENT)
    assert vocabulary.characters == (REPLACEMENT, "a", "b", "e", "r", "z")
    assert vocabulary.encode("az" + REPLACEMENT + "q").tolist() == [1, 5, 0, 0]
    assert len(CharacterVocabulary("")) == 1


def test_rare_characters_are_folded():
    vocabulary = CharacterVocabulary.of("aaabbc", min_count=2)
    assert vocabulary.characters == (REPLACEMENT, "a", "b")
    assert vocabulary.decode(vocabulary.encode("abc")) == "ab" + REPLACEMENT


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([0, 4], r"lie in \[0, 4\), found values from 0 to 4"),
        ([-1], "found values from -1 to -1"),
        ([[1, 2]], r"shape \(n,\), not int64 of shape \(1, 2\)"),
        ([1.0], "not float64"),
    ],
)
def test_what_is_no_character(tokens, message):
    with pytest.raises(DataError, match=message):
        CharacterVocabulary("abc").decode(tokens)


@pytest.mark.parametrize("characters", [["ab"], [""], [1]])
def test_a_vocabulary_of_something_else(characters):
    with pytest.raises(ArgumentError, match="single characters, not"):
        CharacterVocabulary(characters)


# ------------------------------------------------ windows


@given(
    st.text("abcd", min_size=20, max_size=60),
    st.integers(1, 7),
    st.integers(1, 9),
    st.sampled_from(["train", "validation"]),
)
def test_windows_by_a_loop(text, length, stride, split):
    corpus = corpus_of(text, validation=0.4)
    part = getattr(corpus, split)
    dataset = corpus.windows(split, length, stride)
    starts = [i for i in range(0, len(part), stride) if i + length + 1 <= len(part)]
    assert len(dataset) == len(starts) == (len(part) - 1 - length) // stride + 1
    for (inputs, targets), start in zip((dataset[i] for i in range(len(dataset))), starts, strict=True):
        assert corpus.vocabulary.decode(inputs) == part[start : start + length].translate(_unknown(corpus))
        assert corpus.vocabulary.decode(targets) == part[start + 1 : start + length + 1].translate(
            _unknown(corpus)
        )


def _unknown(corpus) -> dict[int, str]:
    known = corpus.vocabulary.characters
    return {ord(c): REPLACEMENT for c in corpus.train + corpus.validation if c not in known}


def test_side_by_side_each_character_is_predicted_once():
    corpus = corpus_of("abcdefghij" * 10, validation=0.5)
    _, targets = corpus.windows("train", 7)[:]
    assert corpus.vocabulary.decode(targets.ravel()) == corpus.train[1:50]


@pytest.mark.parametrize("validation", [0.01, 0.1, 0.5, 0.9])
def test_the_parts_do_not_overlap(validation):
    text = "".join(chr(256 + i) for i in range(200))  # every character tells where it stands
    corpus = corpus_of(text, validation=validation)
    assert corpus.train + corpus.validation == text
    assert len(corpus.validation) == round(200 * validation)
    assert set(corpus.vocabulary.characters) == {REPLACEMENT, *corpus.train}  # nothing is known of the rest


def test_overlapping_windows_take_no_memory_and_make_batches():
    corpus = corpus_of("to be or not to be " * 50)
    dataset = corpus.windows(context_length=8, stride=1)
    assert dataset.inputs.base is not None
    assert dataset.inputs.strides == (8, 8)
    assert dataset.classes == corpus.vocabulary.characters
    inputs, targets = next(iter(DataLoader(dataset, 5, shuffle=True, seed=0)))
    assert (inputs.dtype, inputs.shape, targets.shape) == (np.int64, (5, 8), (5, 8))
    np.testing.assert_array_equal(inputs.numpy()[:, 1:], targets.numpy()[:, :-1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c.windows("test"), ArgumentError, '"train" or "validation", not \'test\''),
        (lambda c: c.windows(context_length=0), ArgumentError, "from 1, not 0 and 0"),
        (lambda c: c.windows(context_length=3, stride=0), ArgumentError, "from 1, not 3 and 0"),
        (
            lambda c: c.windows(context_length=80),
            DataError,
            "train part of poem has 80 characters; a window of 80, .*takes 81",
        ),
        (lambda c: c.windows("validation", 20), DataError, "validation part of poem has 20 characters"),
        (lambda c: corpus_of(c.train, validation=0.0), ArgumentError, "between 0 and 1, not 0.0"),
        (lambda c: corpus_of(c.train, validation=1.0), ArgumentError, "between 0 and 1, not 1.0"),
        (lambda c: corpus_of(c.train, min_count=0), ArgumentError, "min_count must be 1 or more, not 0"),
        (lambda c: corpus_of("a"), DataError, "text has 1 characters: too few"),
        (lambda c: corpus_of(""), DataError, "text has 0 characters: too few"),
    ],
)
def test_wrong_numbers(call, error, message):
    corpus = corpus_of("ab" * 50, validation=0.2, name="poem")
    with pytest.raises(error, match=message):
        call(corpus)


def test_the_longest_window_fits():
    corpus = corpus_of("ab" * 50, validation=0.2)
    assert len(corpus.windows(context_length=79)) == 1


# ------------------------------------------------ files


def test_a_file(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_bytes("\ufeffGrün\r\nist\rder\nWald, x".encode())
    corpus = load_text(path, validation=0.2, min_count=1)
    assert corpus.train + corpus.validation == "Grün\nist\nder\nWald, x"
    assert (corpus.train, corpus.name) == ("Grün\nist\nder\nWal", "poem.txt")
    assert corpus.vocabulary.characters == (REPLACEMENT, "\n", *"GWadeilnrstü")
    assert load_text(str(path), validation=0.2).vocabulary.characters == (REPLACEMENT, "\n", "r")


def test_files_that_are_no_text(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*missing\.txt"):
        load_text(tmp_path / "missing.txt")
    with pytest.raises(DataError, match=r"cannot read .*directory"):
        load_text(tmp_path)
    path = tmp_path / "latin.txt"
    path.write_bytes(b"Gr\xfcn ist der Wald")
    with pytest.raises(DataError, match=r"latin\.txt is no text in UTF-8: byte 2 is 0xfc .*Save it as UTF-8"):
        load_text(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"latin\.txt has 0 characters: too few"):
        load_text(path)


# ------------------------------------------------ the text that is always there


def test_docstrings_are_those_that_python_shows():
    import inspect

    import minigrad as mg

    text = docstrings()
    for thing in (mg, mg.nn, mg.nn.Linear, mg.nn.Linear.forward, load_text, CharacterVocabulary.encode):
        assert inspect.getdoc(thing) in text
    assert text.startswith(inspect.getdoc(mg))
    order = [
        text.index(inspect.getdoc(thing))
        for thing in (text_module, CharacterVocabulary, CharacterVocabulary.of, load_text, mg.nn.Linear)
    ]
    assert order == sorted(order)
    assert text == docstrings()


def test_docstrings_of_nested_definitions(tmp_path):
    import ast

    source = '''
"""Module."""
"""No docstring."""
if True:
    def f(x="""default"""):
        """Two
           lines."""
        class Inner:
            async def g(self):
                """Async."""
try:
    pass
except OSError:
    def h():
        """In a handler."""
'''
    found = list(text_module._docstrings_of(ast.parse(source)))
    assert found == ["Module.", "Two\nlines.", "Async.", "In a handler."]


def test_a_source_that_is_broken(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "broken.py").write_text("def f(:\n")
    monkeypatch.setattr(text_module, "__file__", str(tmp_path / "data" / "text.py"))
    with pytest.raises(DataError, match=r"broken\.py is no Python source: invalid syntax"):
        load_text()


def test_the_default_text_is_enough_to_learn_from():
    corpus = load_text()
    assert len(corpus.train) > 200_000
    assert 60 <= len(corpus.vocabulary) <= 250
    held_out = corpus.vocabulary.encode(corpus.validation)
    assert (held_out == 0).mean() < 0.001
