"""Convolutions whose operands do not fit say what was given and what was expected."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError

X, W = mg.ones(2, 4, 5, 5), mg.ones(6, 4, 3, 3)


@pytest.mark.parametrize(
    "call, error, said",
    [
        (
            lambda: ops.conv2d(mg.ones(2, 3, 5, 5), W),
            ShapeError,
            r"\[2, 3, 5, 5\] has 3 channels.*\[6, 4, 3, 3\].* for 4",
        ),
        (lambda: ops.conv2d(X, W, groups=2), ShapeError, r"has 4 channels.*groups=2, is for 8"),
        (
            lambda: ops.conv2d(X, mg.ones(5, 2, 3, 3), groups=2),
            ShapeError,
            r"groups=2 must divide the 4 channels .* 5",
        ),
        (lambda: ops.conv2d(X, W, groups=0), ArgumentError, r"groups must be an int, 1 or more; got 0"),
        (
            lambda: ops.conv2d(X, mg.ones(6, 4, 3)),
            ShapeError,
            r"weight must be \(O, C / groups, Kh, Kw\).*\[6, 4, 3\]",
        ),
        (lambda: ops.conv2d(X, W, mg.ones(5)), ShapeError, r"bias must have shape \[6\].*got \[5\]"),
        (lambda: ops.conv2d(mg.ones(5, 5), W), ShapeError, r"x must be \(N, C, H, W\).*\[5, 5\]"),
        (
            lambda: ops.conv2d(X, mg.ones(6, 4, 7, 7)),
            ShapeError,
            r"7 x 7.*spans 7 x 7.*5 x 5 with padding 0 x 0 only 5 x 5",
        ),
        (lambda: ops.conv2d(X, W, dilation=3), ShapeError, r"dilation 3 x 3 spans 7 x 7"),
        (
            lambda: ops.conv2d(X, W, stride=0),
            ArgumentError,
            r"stride must be an int or 2 of them, 1 or more; got 0",
        ),
        (lambda: ops.conv2d(X, W, stride=(1, 2, 3)), ArgumentError, r"stride must be.*got \(1, 2, 3\)"),
        (lambda: ops.conv2d(X, W, stride=1.5), ArgumentError, r"stride must be.*got 1.5"),
        (lambda: ops.conv2d(X, W, padding=-1), ArgumentError, r"padding must be.*0 or more; got -1"),
        (lambda: ops.conv2d(X, W, padding="full"), ArgumentError, r"numbers, 'same' or 'valid'; got 'full'"),
        (
            lambda: ops.conv2d(X, W, padding="same", stride=2),
            ArgumentError,
            r"'same' needs stride 1, got stride \(2, 2\)",
        ),
        (lambda: ops.conv2d(X, W.double()), DtypeError, r"float32.*float64"),
        (
            lambda: ops.conv2d(X, W.long()),
            DtypeError,
            r"one dtype; got float32\[2, 4, 5, 5\], int64\[6, 4, 3, 3\]",
        ),
        (lambda: ops.conv2d(X.bool(), W.bool()), DtypeError, r"needs numbers"),
        (lambda: ops.conv1d(mg.ones(2, 4, 5), W), ShapeError, r"weight must be \(O, C / groups, K\)"),
        (lambda: ops.conv1d(X, mg.ones(2, 4, 3)), ShapeError, r"conv1d: x must be \(N, C, L\)"),
        (
            lambda: ops.conv_transpose2d(X, W),
            ShapeError,
            r"x \[2, 4, 5, 5\] has 4 channels.*\(C, O / groups, Kh, Kw\).* for 6",
        ),
        (
            lambda: ops.conv_transpose2d(X, mg.ones(4, 6, 3, 3), output_padding=1),
            ArgumentError,
            r"output_padding \(1, 1\)",
        ),
        (
            lambda: ops.conv_transpose2d(X, mg.ones(4, 6, 3, 3), padding=9),
            ShapeError,
            r"\(-11, -11\); take less padding",
        ),
    ],
)
def test_what_does_not_fit_is_said(call, error, said):
    with pytest.raises(error, match=said):
        call()
