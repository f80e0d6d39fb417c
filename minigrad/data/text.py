"""Texts as numbers, one for each character, and windows of them to learn from."""

from __future__ import annotations

import ast
import inspect
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from minigrad.data.dataset import ArrayDataset
from minigrad.errors import ArgumentError, DataError
from minigrad.serialization import read_file

REPLACEMENT = "\ufffd"  # Unicode's own sign for a character that cannot be shown


class CharacterVocabulary:
    """The characters that a model knows, and their numbers: the replacement sign first, the others sorted.

    characters: those known, in any order, each counted once; `REPLACEMENT` (U+FFFD) need not be among them.

    Number 0 is the replacement sign, which stands for every other character, so that any text can be encoded.
    `len(vocabulary)` counts it. Raises ArgumentError for something longer or shorter than a character.

    >>> vocabulary = CharacterVocabulary("banana")
    >>> len(vocabulary), vocabulary.characters[1:]
    (4, ('a', 'b', 'n'))
    >>> vocabulary.encode("bank")
    array([2, 1, 3, 0])
    >>> vocabulary.decode([2, 1, 3])
    'ban'
    """

    def __init__(self, characters: Iterable[str]) -> None:
        known = set(characters) - {REPLACEMENT}
        wrong = [c for c in known if not isinstance(c, str) or len(c) != 1]
        if wrong:
            raise ArgumentError(f"a vocabulary of characters holds single characters, not {wrong[0]!r}")
        self.characters = (REPLACEMENT, *sorted(known))
        self._numbers = {character: number for number, character in enumerate(self.characters)}

    @classmethod
    def of(cls, text: str, min_count: int = 1) -> CharacterVocabulary:
        """The characters that occur at least `min_count` times in a text.

        >>> CharacterVocabulary.of("banana", min_count=2).characters[1:]
        ('a', 'n')
        """
        return cls(character for character, count in Counter(text).items() if count >= min_count)

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        return (
            f"CharacterVocabulary({len(self)} characters: {''.join(self.characters[1:])!r} and {REPLACEMENT})"
        )

    def encode(self, text: str) -> npt.NDArray[np.int64]:
        """The numbers of a text's characters, (len(text),) int64."""
        return np.array([self._numbers.get(character, 0) for character in text], dtype=np.int64)

    def decode(self, tokens: npt.ArrayLike) -> str:
        """The text with these numbers, (n,). Raises DataError for one that is no character's."""
        numbers = np.asarray(tokens)
        if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
            raise DataError(
                f"decode takes whole numbers of shape (n,), not {numbers.dtype} of shape {numbers.shape}"
            )
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise DataError(
                f"numbers of characters lie in [0, {len(self)}), found values from {numbers.min()} to {numbers.max()}"
            )
        return "".join(self.characters[number] for number in numbers)


class TextCorpus:
    """A text divided by position: its beginning to learn from, its end to be measured on.

    Made by `load_text`.

    train, validation: the two texts.
    vocabulary:        the characters of the training text; what occurs in the validation text only is replaced.
    name:              what messages and reports call it.
    """

    def __init__(
        self, train: str, validation: str, vocabulary: CharacterVocabulary, name: str = "text"
    ) -> None:
        self.train, self.validation, self.vocabulary, self.name = train, validation, vocabulary, name

    def __repr__(self) -> str:
        return (
            f"TextCorpus({self.name!r}, {len(self.train):,} characters to learn from, {len(self.validation):,} "
            f"held out, {len(self.vocabulary)} different)"
        )

    def windows(
        self, split: str = "train", context_length: int = 64, stride: int | None = None
    ) -> ArrayDataset:
        """Pieces of one part, and for each of their characters the one that comes next.

        split:          "train" or "validation".
        context_length: T, characters in a window, from 1.
        stride:         characters from the start of one window to that of the next; None for T, so that each character
                        is predicted once.

        Returns inputs (N, T) and targets (N, T), int64, with targets[i, t] = inputs[i, t + 1] where both exist; N =
        (characters - 1 - T) // stride + 1. They are views of one array: overlapping windows take no memory.
        Raises ArgumentError for numbers out of range, DataError for a part too short for one window.

        >>> from minigrad.data.text import corpus_of
        >>> inputs, targets = corpus_of("to be or not to be", validation=0.2).windows(context_length=5)[:]
        >>> inputs.shape
        (2, 5)
        >>> bool((inputs[:, 1:] == targets[:, :-1]).all())
        True
        """
        if split not in ("train", "validation"):
            raise ArgumentError(f'split must be "train" or "validation", not {split!r}')
        stride = context_length if stride is None else stride
        if min(context_length, stride) < 1:
            raise ArgumentError(
                f"windows have a context_length and a stride from 1, not {context_length} and {stride}"
            )
        text = getattr(self, split)
        if len(text) <= context_length:
            raise DataError(
                f"the {split} part of {self.name} has {len(text)} characters; a window of {context_length}, and the "
                f"character after it, takes {context_length + 1}. Give a longer text or a smaller context_length"
            )
        tokens = self.vocabulary.encode(text)
        windows = np.lib.stride_tricks.sliding_window_view(tokens, context_length + 1)[::stride]
        dataset = ArrayDataset(windows[:, :-1], windows[:, 1:], name=f"{split} part of {self.name}")
        # Told afterwards: they fit by construction, and to check each character in all windows would take a while
        dataset.classes = self.vocabulary.characters
        return dataset


def load_text(
    path: str | os.PathLike[str] | None = None, *, validation: float = 0.1, min_count: int = 2
) -> TextCorpus:
    """A text to be learnt character by character: a file's, or minigrad's own documentation.

    path:       of a text in UTF-8; line ends become "\\n". None takes the docstrings of the installed minigrad, about
                350,000 characters of English, formulas and examples: see `docstrings`. They differ from version to
                version.
    validation: part of the text, from its end, that is held out, between 0 and 1.
    min_count:  characters that occur less often in the training text are folded into the replacement sign.

    Raises DataError for a file that is missing, not UTF-8, or too short to be divided; ArgumentError for a number out
    of range.

    >>> corpus = load_text()
    >>> "softmax" in corpus.train, len(corpus.validation) > 10_000
    (True, True)
    """
    if path is None:
        return corpus_of(
            docstrings(), validation=validation, min_count=min_count, name="minigrad's docstrings"
        )
    try:
        text = read_file(path).decode("utf-8-sig")  # without the mark that some editors put at the beginning
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no text in UTF-8: byte {error.start} is 0x{error.object[error.start]:02x} ({error.reason}). "
            "Save it as UTF-8"
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return corpus_of(text, validation=validation, min_count=min_count, name=Path(path).name)


def corpus_of(text: str, *, validation: float = 0.1, min_count: int = 1, name: str = "text") -> TextCorpus:
    """A text given as such, divided as by `load_text`."""
    if not 0 < validation < 1:
        raise ArgumentError(f"validation must be a part between 0 and 1, not {validation}")
    if min_count < 1:
        raise ArgumentError(f"min_count must be 1 or more, not {min_count}")
    kept = round(len(text) * (1 - validation))
    if not 0 < kept < len(text):
        raise DataError(
            f"{name} has {len(text)} characters: too few to learn from some and hold out a part of {validation}"
        )
    train = text[:kept]
    return TextCorpus(train, text[kept:], CharacterVocabulary.of(train, min_count), name)


def docstrings() -> str:
    """The docstrings of all modules, classes and functions of the installed minigrad, with an empty line between them.

    Read from the source files, in the order of their paths and of the lines in them; nothing is imported. Raises
    DataError for a file that is no Python source.
    """
    package = Path(__file__).resolve().parents[1]
    files = sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).parts)
    return "\n\n".join(text for file in files for text in _docstrings_of(_parsed(file))) + "\n"


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(read_file(file))
    except SyntaxError as error:
        raise DataError(
            f"cannot read the docstrings of minigrad: {file} is no Python source: {error}"
        ) from None


def _docstrings_of(tree: ast.AST) -> Iterator[str]:
    """Docstrings in the order of the source, without the indentation of their lines."""
    if isinstance(tree, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        text = ast.get_docstring(tree, clean=False)
        if text:
            yield inspect.cleandoc(text)
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.expr):  # no expression holds a docstring
            yield from _docstrings_of(child)
