"""The kernels of im2col and col2im, bit for bit the plain definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minigrad.backend import get_backend
from minigrad.backend.native import columns
from minigrad.backend.native.team import team
from minigrad.op import get_operation

XP = get_backend("cpu").xp


def plain(name: str, x: np.ndarray, **params: Any) -> np.ndarray:
    return get_operation(name).forward(XP, x, **params)


def image(N: int, C: int, H: int, W: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((N, H, W, C), dtype=np.float32).transpose(0, 3, 1, 2)


def pair(low: int, high: int) -> Any:
    return st.tuples(st.integers(low, high), st.integers(low, high))


WINDOWS = {
    "kernel_size": pair(1, 5),
    "stride": pair(1, 3),
    "padding": pair(0, 4),
    "dilation": pair(1, 3),
}


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Results are NaN beforehand, and no case is too small."""
    monkeypatch.setattr(columns, "empty", lambda shape, dtype: np.full(shape, np.nan, dtype))
    monkeypatch.setattr(columns, "_SMALLEST", 1)


@example(
    N=1, C=1, size=(1, 1), kernel_size=(2, 2), stride=(1, 1), padding=(4, 4), dilation=(1, 1), fewer=(0, 0)
)
@given(
    N=st.integers(1, 4),
    C=st.sampled_from([1, 3, 16, 37]),
    size=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    fewer=pair(0, 1),
    **WINDOWS,
)
def test_both_equal_the_plain_definitions(N, C, size, kernel_size, fewer, **windows):
    x = image(N, C, *size)
    spans = (d * (k - 1) + 1 for k, d in zip(kernel_size, windows["dilation"], strict=True))
    if any(n + 2 * p < span for n, p, span in zip(size, windows["padding"], spans, strict=True)):
        assert columns.im2col_forward(XP, x, kernel_size=kernel_size, **windows) is None
        return
    expected = plain("im2col", x, kernel_size=kernel_size, **windows)
    cols = columns.im2col_forward(XP, x, kernel_size=kernel_size, **windows)
    if cols is None:  # windows that are the image itself
        assert (kernel_size, windows["stride"], windows["padding"]) == ((1, 1), (1, 1), (0, 0))
    else:
        np.testing.assert_array_equal(cols, expected)
    few = np.random.default_rng(1).standard_normal(expected.shape, dtype=np.float32)
    few = np.ascontiguousarray(few[:, fewer[0] :, fewer[1] :])  # fewer windows than fit are allowed
    if few.size:
        got = columns.col2im_forward(XP, few, size=size, **windows)
        np.testing.assert_array_equal(got, plain("col2im", few, size=size, **windows))


HOW: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}


@pytest.mark.parametrize("dilation", [(1, 1), (2, 2)])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, dilation):
    x, how, seen = image(4, 16, 30, 31), HOW | {"dilation": dilation}, []
    for threads in (1, 2, 3):
        monkeypatch.setattr(team, "size", threads)
        cols = columns.im2col_forward(XP, x, kernel_size=(3, 3), **how)
        seen.append((cols.tobytes(), columns.col2im_forward(XP, cols, size=(30, 31), **how).tobytes()))
    assert seen.count(seen[0]) == 3


def test_results_lie_channels_innermost():
    cols = columns.im2col_forward(XP, image(2, 5, 6, 7), kernel_size=(3, 3), **HOW)
    assert cols.flags.c_contiguous
    x = columns.col2im_forward(XP, cols, size=(6, 7), **HOW)
    assert x.transpose(0, 2, 3, 1).flags.c_contiguous


def test_other_calls_are_declined(monkeypatch):
    x = image(2, 16, 20, 20)
    cols = plain("im2col", x, kernel_size=(3, 3), **HOW)
    for other in (x.astype(np.float64), np.ascontiguousarray(x), x[:, :, ::2], x[:0]):
        assert columns.im2col_forward(XP, other, kernel_size=(3, 3), **HOW) is None
    for other in (cols.astype(np.float64), cols[:, ::2], cols[:0], cols.transpose(0, 1, 2, 4, 3, 5)):
        assert columns.col2im_forward(XP, other, size=(20, 20), **HOW) is None
    assert (
        columns.col2im_forward(XP, cols, size=(19, 20), **HOW) is None
    )  # windows that reach beyond the image
    monkeypatch.undo()
    assert columns.im2col_forward(XP, image(1, 1, 9, 9), kernel_size=(3, 3), **HOW) is None
    assert columns.im2col_forward(XP, x, kernel_size=(3, 3), **HOW) is not None
    assert columns.col2im_forward(XP, cols, size=(20, 20), **HOW) is not None
