"""What a model is made of and what it costs: layer by layer, seen during one forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import creation, dtypes, engine
from minigrad.backend import default_backend
from minigrad.errors import ArgumentError
from minigrad.nn.costs import CostWatch, Row, undisturbed
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


@dataclass
class Summary:
    """Rows of all modules of a model, parents first, and what the model was run on. As text, a table.

    rows:          one Row per module.
    input_shapes:  of the tensors given to the model, batch included.
    training:      whether it ran in training mode.
    """

    rows: list[Row]
    input_shapes: list[tuple[int, ...]]
    training: bool

    def __getitem__(self, name: str) -> Row:
        """The row of a module, by its dotted path. Raises ArgumentError, naming those there are, if it has none."""
        for row in self.rows:
            if row.name == name:
                return row
        known = ", ".join(repr(row.name) for row in self.rows)
        raise ArgumentError(f"no module {name!r} in this summary; there are {known}")

    def total(self, column: str) -> int:
        """The sum of a column, such as "flops", over all rows."""
        return sum(getattr(row, column) for row in self.rows)

    @property
    def parameters(self) -> int:
        """Number of parameters, learnt or frozen."""
        return self.total("trainable") + self.total("frozen")

    @property
    def flops(self) -> int:
        """Floating-point operations of one forward, a multiply-add counting two."""
        return self.total("flops")

    def __str__(self) -> str:
        head = (
            "layer",
            "kind",
            "output shape",
            "trainable",
            "frozen",
            "FLOPs",
            "output",
            "kept for backward",
        )
        lines = [head, *(_cells(row.name or "(model)", row.kind, _shapes(row), row) for row in self.rows)]
        total = Row("total", "", self.total("trainable"), self.total("frozen"), self.flops)
        total.output_bytes, total.kept_bytes = self.total("output_bytes"), self.total("kept_bytes")
        lines.append(_cells(total.name, "", "", total))
        widths = [max(map(len, column)) for column in zip(*lines)]
        text = [
            "  ".join(
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths))
            ).rstrip()
            for line in lines
        ]
        rule = "-" * max(map(len, text))
        given = ", ".join(map(str, self.input_shapes))
        mode = "training" if self.training else "evaluation"
        return "\n".join([
            *(text[0], rule, *text[1:-1], rule, text[-1]),
            f"One forward of {given} in {mode} mode. Each row counts what the layer itself does, not its children;",
            "a multiply-add is two FLOPs.",
        ])  # fmt: skip

    __repr__ = __str__


def summary(
    model: Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]],
    *,
    batch_size: int | None = 1,
    dtype: Any = None,
    device: Any = None,
    training: bool = False,
) -> Summary:
    """Layers, output shapes, parameters, floating-point operations and memory of a model, found by running it once.

    model:       any Module; it is as before afterwards: parameters, buffers, mode, random stream.
    input_shape: of one example, without the batch: (3, 224, 224); a list of shapes for a model with several inputs.
    batch_size:  put before every shape, 1 or more; None if the shapes are complete as they are.
    dtype:       of the input, which is all ones (zeros for integers); a list for several inputs. By default that of
                 the model's first parameter, else float32.
    device:      of the input; by default that of the model's first parameter.
    training:    whether to run in training mode: dropout draws, batch norm needs several values per channel.

    Returns a Summary: print it, or read its `rows`, `parameters` and `flops`. Memory kept for backward is that of a
    forward whose outputs are all differentiated. Raises ArgumentError for a shape that is none, and what the model
    raises for inputs that do not fit.

    >>> import minigrad as mg
    >>> net = mg.nn.Sequential(mg.nn.Linear(4, 8), mg.nn.ReLU(), mg.nn.Linear(8, 2))
    >>> s = summary(net, (4,))
    >>> s.parameters, s["0"].flops, s["2"].output_shapes
    (58, 64, [(1, 2)])
    """
    if not isinstance(model, Module):
        raise ArgumentError(f"summary takes a Module, not {type(model).__name__}")
    shapes = _input_shapes(input_shape, batch_size)
    inputs = _inputs(model, shapes, dtype, device)
    watch = CostWatch(model)
    with undisturbed(model, inputs):
        model.train(training)
        with engine.enable_grad(), watch.watching():
            outputs = model(*inputs)
        watch.count_kept(outputs)
    return Summary(watch.rows, shapes, training)


def _input_shapes(input_shape: Any, batch_size: int | None) -> list[tuple[int, ...]]:
    """One or several shapes, checked and with the batch before them."""
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise ArgumentError(f"batch_size must be a whole number from 1, or None, not {batch_size!r}")
    several = isinstance(input_shape, (list, tuple)) and any(
        isinstance(s, (list, tuple)) for s in input_shape
    )
    shapes = list(input_shape) if several else [input_shape]
    for shape in shapes:
        whole = isinstance(shape, (list, tuple)) and all(isinstance(n, (int, np.integer)) for n in shape)
        if not whole or any(n < 0 for n in shape):
            raise ArgumentError(
                "input_shape must be the shape of one example, such as (3, 224, 224), or a list of shapes, "
                f"not {input_shape!r}"
            )
    return [(*(() if batch_size is None else (batch_size,)), *map(int, shape)) for shape in shapes]


def _inputs(model: Module, shapes: list[tuple[int, ...]], dtype: Any, device: Any) -> list[Tensor]:
    first = next((p for p in model.parameters()), None)
    given = list(dtype) if isinstance(dtype, (list, tuple)) else [dtype] * len(shapes)
    if len(given) != len(shapes):
        raise ArgumentError(f"{len(given)} dtypes were given for {len(shapes)} inputs")
    usual = dtypes.DEFAULT_FLOAT if first is None else first.dtype
    types = [usual if d is None else dtypes.as_dtype(d) for d in given]
    device = device if device is not None else default_backend() if first is None else first.backend
    return [
        creation.full(shape, 1.0 if dtypes.is_floating(t) else 0, dtype=t, device=device)
        for shape, t in zip(shapes, types)
    ]


def _cells(name: str, kind: str, shapes: str, row: Row) -> tuple[str, ...]:
    flops, output, kept = _scaled(row.flops, 1000, ""), _bytes(row.output_bytes), _bytes(row.kept_bytes)
    return name, kind, shapes, f"{row.trainable:,}", f"{row.frozen:,}", flops, output, kept


def _shapes(row: Row) -> str:
    """Output shapes; equal ones in succession once, with their number."""
    shown = list(dict.fromkeys(map(str, row.output_shapes)))
    times = f" x{row.calls}" if row.calls > 1 else ""
    return (", ".join(shown) + times) or ("" if row.calls else "not called")


def _bytes(n: int) -> str:
    return _scaled(n, 1024, "iB") if n >= 1024 else f"{n} B"


def _scaled(n: float, step: int, unit: str) -> str:
    """A number with three digits that matter and a prefix.

    >>> _scaled(1_234_567, 1000, "FLOP")
    '1.23 MFLOP'
    """
    prefix = ""
    for larger in "KMGTP":
        if n < step:
            break
        n, prefix = n / step, larger
    if not prefix:
        return f"{n}{unit}"
    return f"{n:.{2 if n < 10 else 1 if n < 100 else 0}f} {prefix}{unit}"
