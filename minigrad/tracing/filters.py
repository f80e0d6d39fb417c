"""Which operations a trace looks into."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from minigrad.errors import ArgumentError

if TYPE_CHECKING:
    from minigrad.tracing.operation_record import OperationRecord

Patterns = str | Iterable[str] | None
Shape = Sequence[int | None]


class Filters:
    """Operations by name, by module path and by shape; what is None lets everything pass.

    names:   patterns in shell notation of an operation ("conv2d") or a call of it ("relu_3").
    modules: patterns of a module's path ("layer1.*"); what runs in modules below it counts too.
    shapes:  shapes, one of which an output must have; None stands for any length: (None, 64, None, None).
    """

    def __init__(
        self, names: Patterns = None, modules: Patterns = None, shapes: Iterable[Shape] | Shape | None = None
    ) -> None:
        self.names, self.modules = _listed("names", names), _listed("modules", modules)
        self.shapes = None if shapes is None else _shapes(shapes)

    def admit(self, record: OperationRecord) -> bool:
        """Whether an operation passes."""
        if self.names is not None and not _any(self.names, (record.name, record.op.name)):
            return False
        if self.modules is not None and not _any(self.modules, _with_parents(record.modules)):
            return False
        return self.shapes is None or any(_fits(y.shape, s) for y in record.outputs for s in self.shapes)


def _listed(word: str, patterns: Patterns) -> list[str] | None:
    found = [patterns] if isinstance(patterns, str) else None if patterns is None else list(patterns)
    if found is not None and not all(isinstance(p, str) for p in found):
        raise ArgumentError(f"{word} takes patterns, such as 'layer1.*', not {patterns!r:.80}")
    return found


def _shapes(shapes: Iterable[Shape] | Shape) -> list[Shape]:
    given = list(shapes)
    if all(n is None or isinstance(n, int) for n in given):  # a single one
        return [given]  # type: ignore[list-item]
    return given  # type: ignore[return-value]


def _any(patterns: list[str], texts: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)


def _with_parents(paths: tuple[str, ...]) -> Iterable[str]:
    """Each path and those of the modules around it."""
    for path in paths:
        yield path
        while "." in path:
            path = path.rpartition(".")[0]
            yield path


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(b is None or a == b for a, b in zip(shape, wanted, strict=True))
