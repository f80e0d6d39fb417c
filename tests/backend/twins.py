"""A kernel beside the plain definition it stands in for, which is the oracle here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.backend import get_backend
from minigrad.backend.native.team import team
from minigrad.op import Operation, get_operation
from minigrad.sample import Draw

XP = get_backend("cpu").xp


def nhwc(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal float32 (N, C, ...), channels innermost in memory."""
    n, c, *size = shape
    return np.moveaxis(rng.standard_normal((n, *size, c), dtype=np.float32), -1, 1)


def laid(x: np.ndarray, layout: str) -> np.ndarray:
    """A copy of (N, C, ...) that lies in memory in another way."""
    if layout == "channels last":
        return np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    if layout == "channels first":
        return np.ascontiguousarray(x)
    assert layout == "strided"
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


LAYOUTS = ("channels last", "channels first", "strided")


def assert_near(got: Any, expected: Any, rtol: float, what: str) -> None:
    """Shape, dtype kind, infinities and NaNs agree, and the rest within rtol of the largest magnitude."""
    if expected is None:
        assert got is None, what
        return
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, what
    assert got.dtype == expected.dtype, what
    finite = np.isfinite(expected)
    assert np.array_equal(got[~finite], expected[~finite], equal_nan=True), what
    scale = np.abs(expected[finite]).max(initial=0)
    assert np.isfinite(got[finite]).all(), what
    assert np.abs(got[finite] - expected[finite]).max(initial=0) <= rtol * scale, what


def compare(
    name: str, forward: Callable[..., Any] | None, gradient: Callable[..., Any] | None,
    inputs: Sequence[Any], *, rtol: float = 3e-6, gys: Any = None, declines: bool = False, seed: int = 0, **params: Any,
) -> None:  # fmt: skip
    """Forward and gradient against the operation's own, with any number of threads, on inputs that stay as they are."""
    op, before = get_operation(name), [None if a is None else a.copy() for a in inputs]
    params = {**op.defaults, **params}
    plain = op.forward(XP, *inputs, **params)
    if forward is not None:
        result = same_with_any_threads(lambda: forward(XP, *inputs, **params))
        if declines:
            assert result is None
        else:
            for got, expected in zip(as_tuple(result), as_tuple(plain), strict=True):
                assert_near(got, np.asarray(expected), rtol, f"{name} forward")
    if gradient is not None:
        _compare_gradient(op, gradient, inputs, as_tuple(plain), params, rtol, gys, declines, seed)
    for a, b in zip(inputs, before, strict=True):
        assert b is None or np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), f"{name} changed an input"


def _compare_gradient(
    op: Operation, gradient: Any, inputs: Any, outputs: tuple, params: dict,
    rtol: float, gys: Any, declines: bool, seed: int,
) -> None:  # fmt: skip
    if gys is None:
        rng = np.random.default_rng(seed)
        gys = tuple(
            laid_like(rng.standard_normal(y.shape).astype(y.dtype), y)
            if np.asarray(y).dtype.kind == "f"
            else None
            for y in map(np.asarray, outputs)
        )
        gys = gys[0] if len(gys) == 1 else gys
    differentiable = tuple(a is not None and a.dtype.kind == "f" for a in inputs)
    params = {n: params[n] for n in op.gradient_params}
    for needs in {differentiable, (differentiable[0], *(False for _ in inputs[1:]))}:
        given = {
            "input": lambda i: inputs[i], "output": lambda i: np.asarray(outputs[i]),
            "shape": lambda i: inputs[i].shape, "needs": lambda i, needs=needs: needs,
        }  # fmt: skip
        arguments = [given[want.kind](want.number) for want in op.wants]
        expected = as_tuple(op.gradient_fn(XP, gys, *arguments, **params))
        result = same_with_any_threads(lambda a=arguments: gradient(XP, gys, *a, **params))
        if declines:
            assert result is None
            continue
        for i, (got, want) in enumerate(zip(as_tuple(result), expected, strict=True)):
            if needs[i]:
                assert_near(got, want, rtol, f"{op.name} gradient {i}")


def laid_like(a: np.ndarray, model: np.ndarray) -> np.ndarray:
    copy = np.empty_like(model)
    copy[...] = a
    return copy


def as_tuple(result: Any) -> tuple:
    return tuple(result) if type(result) in (tuple, list) else (result,)


def same_with_any_threads(call: Callable[[], Any]) -> Any:
    """What the call returns, having checked that two threads, and three, return the same bits as one."""
    size, results = team.size, []
    try:
        for team.size in (1, 2, 3):
            results.append(call())
    finally:
        team.size = size
    first = as_tuple(results[0])
    for other in results[1:]:
        for a, b in zip(first, as_tuple(other), strict=True):
            assert (a is None) == (b is None)
            assert a is None or np.asarray(a).tobytes() == np.asarray(b).tobytes()
    return results[0]


def samples(name: str) -> list[tuple[list[Any], dict]]:
    """The operation's own sample inputs, floating-point ones as float32."""
    return [
        (
            [a.astype(np.float32) if a is not None and a.dtype.kind == "f" else a for a in sample.inputs],
            sample.params,
        )
        for sample in get_operation(name).samples(Draw(0))
    ]
