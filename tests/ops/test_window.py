"""im2col and col2im, unfold and fold: against windows cut out one by one, and against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import get_operation
from minigrad.ops.window import pieces, window_counts
from tests.oracle import compare_with_torch

im2col, col2im = get_operation("im2col"), get_operation("col2im")


@st.composite
def windows(draw) -> tuple[tuple, dict]:
    """The shape of an image, and arguments for which at least one window fits."""
    two = lambda low, high: draw(st.tuples(st.integers(low, high), st.integers(low, high)))  # noqa: E731
    how = {"kernel_size": two(1, 3), "stride": two(1, 3), "padding": two(0, 2), "dilation": two(1, 2)}
    extent = [d * (k - 1) + 1 - 2 * p for k, p, d in zip(how["kernel_size"], how["padding"], how["dilation"])]
    size = [max(1, e) + draw(st.integers(0, 4)) for e in extent]
    return (draw(st.integers(0, 2)), draw(st.integers(1, 3)), *size), how


def cut_out(x: np.ndarray, kernel_size, stride, padding, dilation) -> np.ndarray:
    """Every window by slicing a padded image: (N, Ho, Wo, Kh, Kw, C)."""
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    rows = range(0, x.shape[2] - dilation[0] * (kernel_size[0] - 1), stride[0])
    columns = range(0, x.shape[3] - dilation[1] * (kernel_size[1] - 1), stride[1])
    cut = [
        [
            x[
                :,
                :,
                h : h + dilation[0] * kernel_size[0] : dilation[0],
                w : w + dilation[1] * kernel_size[1] : dilation[1],
            ]
            for w in columns
        ]
        for h in rows
    ]
    return np.array(cut)[..., : kernel_size[0], : kernel_size[1]].transpose(2, 0, 1, 4, 5, 3)


@given(windows())
def test_im2col_cuts_out_every_window(case):
    shape, how = case
    x = np.random.default_rng(0).standard_normal(shape)
    cols = im2col(mg.tensor(x), **how)
    assert np.array_equal(cols.numpy(), cut_out(x, **how))
    assert cols.shape[1:3] == window_counts(shape[2:], **how)


@given(windows())
def test_col2im_is_the_transpose_of_im2col(case):
    """<cols, im2col(x)> = <col2im(cols), x>; and both are each other's gradients."""
    shape, how = case
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.standard_normal(shape), requires_grad=True)
    cols = im2col(x, **how)
    gy = mg.tensor(rng.standard_normal(cols.shape), requires_grad=True)
    del how["kernel_size"]
    back = col2im(gy, size=shape[2:], **how)
    assert float((gy * cols).sum()) == pytest.approx(float((back * x).sum()), abs=1e-10)
    assert np.array_equal(mg.grad(cols, [x], gy)[0].numpy(), back.numpy())
    assert np.array_equal(mg.grad(back, [gy], x)[0].numpy(), cols.numpy())


def test_windows_of_one_element_are_a_view(rng):
    x = rng.standard_normal((2, 4, 4, 3)).transpose(0, 3, 1, 2)  # channels last in memory
    cols = im2col(mg.from_numpy(x), kernel_size=(1, 1), stride=(1, 1), padding=(0, 0), dilation=(1, 1))
    assert np.shares_memory(cols.numpy(), x)


def test_col2im_of_fewer_windows_than_fit_leaves_zeros(rng):
    cols = rng.standard_normal((1, 1, 1, 2, 2, 1))
    x = col2im(mg.tensor(cols), size=(3, 4), stride=(1, 1), padding=(0, 0), dilation=(1, 1)).numpy()
    assert np.array_equal(x[0, 0, :2, :2], cols[0, 0, 0, :, :, 0])
    assert np.count_nonzero(x) == 4


@given(st.integers(0, 50), st.integers(0, 40))
def test_pieces_cover_everything_once_and_fit_the_cache(n, bytes_each):
    found = pieces(n, bytes_each, cache=100)
    assert [i for piece in found for i in range(n)[piece]] == list(range(n))
    assert all(len(range(n)[piece]) * bytes_each <= 100 for piece in found)
    assert pieces(3, 1000, cache=100) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_fold_counts_how_many_windows_see_an_element():
    ones = mg.ones(1, 1, 4, 5)
    seen = ops.fold(ops.unfold(ones, (3, 2), stride=(1, 2)), (4, 5), (3, 2), stride=(1, 2)).numpy()[0, 0]
    assert np.array_equal(seen, np.outer([1, 2, 2, 1], [1, 1, 1, 1, 0]))


@given(windows())
def test_unfold_orders_channels_before_window_elements(case):
    shape, how = case
    x = np.random.default_rng(0).standard_normal(shape)
    y = ops.unfold(mg.tensor(x), **how).numpy()
    expected = cut_out(x, **how).transpose(0, 5, 3, 4, 1, 2)  # (N, C, Kh, Kw, Ho, Wo)
    assert np.array_equal(y, expected.reshape(y.shape))


@pytest.mark.oracle
@given(windows(), st.sampled_from(["float64", "float32"]))
def test_unfold_and_fold_agree_with_pytorch(case, dtype):
    import torch.nn.functional as F

    shape, how = case
    if shape[0] == 0:
        return
    x = np.random.default_rng(0).standard_normal(shape)
    compare_with_torch(lambda x: ops.unfold(x, **how), lambda x: F.unfold(x, **how), [x], dtype=dtype)
    cols = ops.unfold(mg.tensor(x), **how).numpy()
    size = shape[2:]
    compare_with_torch(
        lambda c: ops.fold(c, size, **how), lambda c: F.fold(c, size, **how), [cols], dtype=dtype
    )


@pytest.mark.oracle
def test_an_image_without_a_batch_agrees_with_pytorch(torch, rng):
    F = torch.nn.functional
    compare_with_torch(lambda x: ops.unfold(x, 2), lambda x: F.unfold(x, 2), [rng.standard_normal((3, 4, 5))])
    cols = rng.standard_normal((12, 12))
    compare_with_torch(lambda c: ops.fold(c, (4, 5), 2), lambda c: F.fold(c, (4, 5), 2), [cols])


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: ops.unfold(mg.ones(1, 2, 3, 3), 4), ShapeError, r"4 x 4.*spans 4 x 4.*only 3 x 3"),
        (lambda: ops.unfold(mg.ones(3, 3), 2), ShapeError, r"x must be \(N, C, H, W\).*\[3, 3\]"),
        (
            lambda: ops.unfold(mg.ones(1, 2, 3, 3), (2, 0)),
            ArgumentError,
            r"kernel_size must be an int or 2 of them.*\(2, 0\)",
        ),
        (
            lambda: ops.fold(mg.ones(1, 7, 4), (3, 3), 2),
            ShapeError,
            r"\[1, 7, 4\].*a number of rows that 4 divides",
        ),
        (
            lambda: ops.fold(mg.ones(1, 8, 5), (3, 3), 2),
            ShapeError,
            r"2 x 2 = 4 of them fit.*must be \(N, C \* 4, 4\)",
        ),
        (lambda: ops.fold(mg.ones(1, 8, 4), (0, 3), 2), ArgumentError, r"output_size must be.*\(0, 3\)"),
    ],
)
def test_what_does_not_fit_is_said(call, error, said):
    with pytest.raises(error, match=said):
        call()
