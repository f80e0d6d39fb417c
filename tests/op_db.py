"""PyTorch's operator samples, run through our functions: the same arguments on both sides, and the comparison."""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

import minigrad as mg
from minigrad.dtypes import BY_NAME
from minigrad.errors import MinigradError

LARGEST = 10_000  # elements of a sample's largest tensor
DTYPES = (torch.float64, torch.float32, torch.int64, torch.bool)
TOLERANCE = {"float64": 1e-9, "float32": 1e-5, "float16": 1e-3, "bfloat16": 1e-2}  # of the largest magnitude
# Where results lie in memory, which changes no value
LAYOUT = ("layout", "memory_format", "pin_memory")

INFOS: dict[str, list] = {}  # PyTorch's description of each operator, by name; several where it has variants
for _info in op_db:
    INFOS.setdefault(_info.name, []).append(_info)


class Refusal(Exception):
    """We do not take a sample, and said so clearly."""


class Call(NamedTuple):
    """What an operator is called with."""

    args: tuple
    kwargs: dict

    def __str__(self) -> str:
        return f"({', '.join([*map(describe, self.args), *(f'{k}={describe(v)}' for k, v in self.kwargs.items())])})"


def ours(name: str) -> dict[str, Callable]:
    """Our function, method or property of that name, where PyTorch has one too."""
    found: dict[str, Callable] = {}
    short = name.removeprefix("nn.functional.")
    here, there = (mg, torch) if short == name else (mg.nn.functional, torch.nn.functional)
    function = getattr(here, short, None)
    if (
        hasattr(there, short)
        and callable(function)
        and not isinstance(function, type)
        and not inspect.ismodule(function)
    ):
        found["function"] = function
    method = inspect.getattr_static(mg.Tensor, name, None)
    if isinstance(method, property):
        found["property"] = lambda x: getattr(x, name)
    elif callable(method) and hasattr(torch.Tensor, name):
        found["method"] = getattr(mg.Tensor, name)
    return found


# ---------------------------------------------------------------- samples


def samples(info: Any, dtype: torch.dtype, most: int) -> list[Call]:
    """PyTorch's samples of an operator in one dtype, at most so many: those of dense tensors of dtypes that we have."""
    if dtype not in info.dtypes:
        return []
    wants_grad = info.supports_autograd and dtype.is_floating_point
    return evenly(_calls(info.sample_inputs_func(info, "cpu", dtype, wants_grad)), most)


def wrong_samples(info: Any) -> list[Call]:
    """Calls that PyTorch refuses."""
    return [] if info.error_inputs_func is None else _calls(info.error_inputs_func(info, "cpu"))


def _calls(generated: Iterable) -> list[Call]:
    torch.random.default_generator.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = list(itertools.islice(generated, 400))
    samples = [getattr(item, "sample_input", item) for item in given]
    calls = [
        Call((s.input, *s.args), {k: v for k, v in s.kwargs.items() if k not in LAYOUT}) for s in samples
    ]
    return [call for call in calls if _suitable(call)]


def evenly(items: list, most: int) -> list:
    """At most so many of them, the first and the last included."""
    return [items[i] for i in sorted(set(np.linspace(0, len(items) - 1, min(most, len(items))).astype(int)))]


def _suitable(call: Call) -> bool:
    tensors = list(tensors_in(torch.Tensor, call))
    dtypes = [x for x in [*call.args, *call.kwargs.values()] if isinstance(x, torch.dtype)] + [
        t.dtype for t in tensors
    ]
    numbers = [x for x in [*call.args, *call.kwargs.values()] if isinstance(x, complex)]
    known = all(str(dtype).removeprefix("torch.") in BY_NAME for dtype in dtypes) and not numbers
    return known and all(
        t.layout == torch.strided and t.device.type == "cpu" and t.ndim <= 64 and t.numel() <= LARGEST
        for t in tensors
    )  # NumPy's arrays have at most 64 dimensions


# ---------------------------------------------------------------- the same arguments on both sides


def to_ours(x: Any) -> Any:
    """A PyTorch argument as ours: tensors keep their values, strides and dtype, and whether they require grad."""
    if isinstance(x, torch.Tensor):
        made = mg.from_numpy(to_numpy(x))
        return made.requires_grad_() if x.requires_grad else made
    if isinstance(x, torch.dtype):
        return BY_NAME[str(x).removeprefix("torch.")]
    return str(x) if isinstance(x, torch.device) else _within(to_ours, x)


def to_leaves(x: Any) -> Any:
    """The same arguments as leaves of their own: samples share tensors, and some operators write to them."""
    if isinstance(x, torch.Tensor):
        copy = (
            torch.empty_strided(x.shape, x.stride(), dtype=x.dtype)
            if 0 not in x.stride()
            else torch.empty_like(x)
        )
        return copy.copy_(x.detach()).requires_grad_(x.requires_grad)
    return _within(to_leaves, x)


def _within(convert: Callable, x: Any) -> Any:
    if isinstance(x, Call):
        return Call(convert(x.args), convert(x.kwargs))
    if isinstance(x, (tuple, list)):
        return (list if isinstance(x, list) else tuple)(map(convert, x))
    return {key: convert(value) for key, value in x.items()} if isinstance(x, dict) else x


def to_numpy(x: torch.Tensor) -> np.ndarray:
    """The tensor's values."""
    if x.dtype == torch.bfloat16:
        return x.detach().float().numpy().astype(BY_NAME["bfloat16"])
    return x.detach().numpy(force=True)


def tensors_in(kind: type, x: Any) -> Iterator[Any]:
    """All tensors in nested arguments or results, in order."""
    if isinstance(x, kind):
        yield x
    elif isinstance(x, (tuple, list)):
        for item in x:
            yield from tensors_in(kind, item)
    elif isinstance(x, dict):
        yield from tensors_in(kind, list(x.values()))


def describe(x: Any) -> str:
    """An argument in words."""
    if isinstance(x, torch.Tensor):
        return f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}"
    return f"({', '.join(map(describe, x))})" if isinstance(x, (tuple, list)) else repr(x)


# ---------------------------------------------------------------- the comparison


def run(function: Callable, call: Call) -> Any:
    """Our result. Raises Refusal for an error of our own, or for an argument that the function does not have."""
    try:
        return function(*call.args, **call.kwargs)
    except MinigradError as error:
        raise Refusal(f"{type(error).__name__}: {error}") from error
    except TypeError as error:
        if (
            error.__traceback__ is not None and error.__traceback__.tb_next is not None
        ):  # it comes from within
            raise
        raise Refusal(f"TypeError: {error}") from error


def compare(
    info: Any, function: Callable, call: Call, values: int | None = None, tolerance: float | None = None
) -> None:
    """One sample through both, with first derivatives, and second ones in float64.

    values:    compare those of the first so many outputs; of all by default. Of the others only shape and dtype.
    tolerance: relative to the largest magnitude; that of TOLERANCE by default.

    Raises AssertionError where they differ, Refusal where we refuse.
    """
    theirs, mine = to_leaves(call), to_ours(to_leaves(call))
    found = run(function, mine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = info.op(*theirs.args, **theirs.kwargs)
    ys, zs = list(tensors_in(mg.Tensor, found)), list(tensors_in(torch.Tensor, expected))
    _require(len(ys) == len(zs), f"gives {len(ys)} tensors instead of {len(zs)}")
    if not zs:
        _require(found == expected, f"gives {found} instead of {expected}")
    for i, (y, z) in enumerate(zip(ys, zs, strict=True)):
        given = f"{y.dtype}{list(y.shape)}"
        _require(given == describe(z), f"gives {given} instead of {describe(z)}")
        if values is None or i < values:
            _close(y.numpy(), to_numpy(z), "the value", tolerance)
    if values == 0:
        return
    inputs = zip(tensors_in(mg.Tensor, mine), tensors_in(torch.Tensor, theirs), strict=True)
    leaves = [(x, t) for x, t in inputs if t.requires_grad]
    pairs = list(zip(ys, zs, strict=True))
    twice = info.supports_gradgrad and all(t.dtype == torch.float64 for _, t in leaves)
    pairs = _compare_gradients(pairs, leaves, "the gradient", twice, tolerance)
    if twice:
        _compare_gradients(pairs, leaves, "the second derivative", twice, tolerance)


def _compare_gradients(
    outputs: list, leaves: list, order: str, create_graph: bool, tolerance: float | None
) -> list[tuple[mg.Tensor, torch.Tensor]]:
    """Compare the gradients of (ours, theirs) pairs; returns the pairs of gradients."""
    outputs = [(y, z) for y, z in outputs if z.requires_grad]
    if not leaves or not outputs:
        return []
    rng = np.random.default_rng(0)
    ys, zs = zip(*outputs, strict=True)
    xs, ts = zip(*leaves, strict=True)
    gys = [np.asarray(rng.standard_normal(z.shape)) for z in zs]
    try:
        expected = torch.autograd.grad(
            zs,
            ts,
            [torch.from_numpy(gy).to(z.dtype) for gy, z in zip(gys, zs, strict=True)],
            create_graph=create_graph,
            allow_unused=True,
        )
    except RuntimeError as error:
        if order == "the second derivative" and "is not implemented" in str(error):
            return []
        raise
    recorded = [(y, mg.tensor(gy, dtype=y.dtype)) for gy, y in zip(gys, ys, strict=True) if y.requires_grad]
    found: Iterable = [None] * len(xs)
    if recorded:
        roots, seeds = zip(*recorded, strict=True)
        found = mg.grad(roots, xs, seeds, create_graph=create_graph, allow_unused=True)
    pairs = []
    for i, (g, h, t) in enumerate(
        zip(found, expected, ts, strict=True)
    ):  # an absent gradient stands for zero
        g = mg.zeros(t.shape, dtype=mg.float64) if g is None else g
        h = torch.zeros(t.shape, dtype=t.dtype) if h is None else h
        _close(g.numpy(), to_numpy(h), f"{order} of tensor {i}", tolerance)
        pairs.append((g, h))
    return pairs


def _close(a: np.ndarray, b: np.ndarray, what: str, tolerance: float | None) -> None:
    _require(a.shape == b.shape, f"{what} has shape {a.shape} instead of {b.shape}")
    tolerance = TOLERANCE.get(str(b.dtype), 0) if tolerance is None else tolerance
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    _require(np.array_equal(a[~finite], b[~finite], equal_nan=True), f"{what} differs where it is not finite")
    error, scale = np.max(np.abs(a[finite] - b[finite]), initial=0), np.max(np.abs(b[finite]), initial=1)
    _require(
        error <= tolerance * scale,
        f"{what} differs by {error:.2g} where the largest magnitude is {scale:.2g}",
    )


def _require(condition: Any, message: str) -> None:
    if not condition:
        raise AssertionError(message)
