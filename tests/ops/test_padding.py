"""pad in all its modes: against a loop over indices, and PyTorch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch

MODES = ["constant", "reflect", "replicate", "circular"]


def source_of(i: int, n: int, mode: str) -> int | None:
    """Which entry of a line of length n stands at place i, counted from its first."""
    if mode == "constant":
        return i if 0 <= i < n else None
    if mode == "replicate":
        return min(max(i, 0), n - 1)
    if mode == "circular":
        return i % n
    return abs(i) if i < n else 2 * (n - 1) - i


def pad_by_loop(x: np.ndarray, widths: list[tuple[int, int]], mode: str, value: float) -> np.ndarray:
    """One element at a time; negative widths cut first."""
    x = x[tuple(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape, widths, strict=True))]
    y = np.full(
        [max(a, 0) + n + max(b, 0) for n, (a, b) in zip(x.shape, widths, strict=True)], value, x.dtype
    )
    for place in itertools.product(*map(range, y.shape)):
        source = [
            source_of(i - max(a, 0), n, mode) for i, n, (a, _) in zip(place, x.shape, widths, strict=True)
        ]
        if None not in source:
            y[place] = x[tuple(source)]
    return y


def largest(n: int, mode: str) -> int:
    """The largest width a line of length n allows."""
    return {"constant": 3, "reflect": n - 1, "replicate": 3 if n else 0, "circular": n}[mode]


@st.composite
def calls(draw, modes=MODES, fewest=0):
    """(shape, widths of its last dimensions, mode): any widths that are allowed."""
    mode = draw(st.sampled_from(modes))
    shape, widths = [2] * draw(st.integers(fewest, 2)), []
    for _ in range(draw(st.integers(1, 3))):
        n = draw(st.integers(1, 4))
        a = draw(st.integers(-(n - 1), 3))
        b = draw(st.integers(-(n - 1 - max(0, -a)), 3))
        left = n + min(a, 0) + min(b, 0)
        shape.append(n)
        widths.append((min(a, largest(left, mode)), min(b, largest(left, mode))))
    return tuple(shape), widths, mode


def last_first(widths: list[tuple[int, int]]) -> list[int]:
    """The order in which `pad` takes them."""
    return [w for pair in reversed(widths) for w in pair]


@given(calls())
@settings(max_examples=150)
def test_like_a_loop(call):
    shape, widths, mode = call
    x = np.random.default_rng(0).standard_normal(shape)
    value = 2.5 if mode == "constant" else None
    expected = pad_by_loop(x, [(0, 0)] * (x.ndim - len(widths)) + widths, mode, 2.5)
    for array in (x, np.asfortranarray(x)):
        y = mg.pad(mg.from_numpy(array), last_first(widths), mode, value)
        np.testing.assert_array_equal(y.numpy(), expected, strict=True)


# PyTorch wants one or two dimensions in front of those padded by anything but a constant
@given(call=calls(["constant"]) | calls(MODES[1:], fewest=1))
@settings(max_examples=150)
def test_like_pytorch(torch, call):
    shape, widths, mode = call
    pad, value = last_first(widths), -1.5 if mode == "constant" else None
    compare_with_torch(
        lambda x: mg.pad(x, pad, mode=mode, value=value),
        lambda x: torch.nn.functional.pad(x, pad, mode=mode, value=value),
        [np.random.default_rng(0).standard_normal(shape)],
    )


@pytest.mark.parametrize("mode", MODES)
def test_float32_and_half(torch, rng, mode):
    for dtype in ("float32", "bfloat16"):
        compare_with_torch(
            lambda x: mg.pad(x, (2, 1, 1, 3), mode=mode),
            lambda x: torch.nn.functional.pad(x, (2, 1, 1, 3), mode=mode),
            [rng.standard_normal((2, 4, 3))],
            dtype=dtype,
            order=1,
        )


@pytest.mark.parametrize("mode", MODES)
def test_memory_order_is_kept(mode):
    channels_last = mg.zeros(2, 5, 5, 3).permute(0, 3, 1, 2)
    y = mg.pad(channels_last, (1, 2, 2, 1), mode)
    assert y.shape == (2, 3, 8, 8)
    assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous


def test_integers_and_bools():
    assert mg.pad(mg.tensor([1, 2]), (1, 0), value=7).tolist() == [7, 1, 2]
    assert mg.pad(mg.tensor([True]), (1, 1)).tolist() == [False, True, False]
    assert mg.pad(mg.tensor([1, 2, 3]), (2, 2), "reflect").tolist() == [3, 2, 1, 2, 3, 2, 1]


def test_nothing_to_pad_with():
    assert mg.pad(mg.zeros(0, 2), (0, 0, 1, 2)).shape == (3, 2)
    assert mg.pad(mg.zeros(2, 3), (-3, 0)).shape == (2, 0)
    assert mg.pad(mg.zeros(2, 3), ()).shape == (2, 3)


X = mg.zeros(1, 2, 3)
REFUSED = {
    "odd": (
        lambda: mg.pad(X, (1, 2, 3)),
        ArgumentError,
        r"\[1, 2, 3\] must be \(before, after\) for up to 3 dimensions",
    ),
    "many": (lambda: mg.pad(X, (1,) * 8), ArgumentError, "for up to 3 dimensions"),
    "mode": (
        lambda: mg.pad(X, (1, 1), "mirror"),
        ArgumentError,
        "one of constant, reflect, replicate, circular, not 'mirror'",
    ),
    "value": (
        lambda: mg.pad(X, (1, 1), "reflect", 1.0),
        ArgumentError,
        "mode 'reflect' takes no value, got 1.0",
    ),
    "reflect": (
        lambda: mg.pad(X, (0, 3), "reflect"),
        ShapeError,
        r"widths \(0, 3\) of dimension 2 .* may be at most 2",
    ),
    "reflect after cutting": (lambda: mg.pad(X, (2, -1), "reflect"), ShapeError, "may be at most 1"),
    "circular": (lambda: mg.pad(X, (4, 0), "circular"), ShapeError, "may be at most 3"),
    "replicate": (lambda: mg.pad(mg.zeros(2, 0), (1, 0), "replicate"), ShapeError, "may be at most 0"),
    "cut": (
        lambda: mg.pad(X, (-2, -2)),
        ShapeError,
        r"widths \(-2, -2\) cut off more than dimension 2 of shape \[1, 2, 3\] has",
    ),
    "float": (lambda: mg.pad(X, (1.0, 1)), DtypeError, "pad must be an int, not float"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()
