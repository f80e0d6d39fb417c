"""Dropout: elements, or whole channels, are set to 0 at random in training.

The public functions draw the mask and hand it to an operation that is deterministic: a recorded call can be
replayed and its gradient checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import engine
from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import need_floating

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d"]
METHODS: list[str] = []


def random_mask(like: Any, shape: tuple[int, ...], p: float) -> Any:
    """A bool tensor, each element True with probability 1 - p, on the device of `like` and from its random stream."""
    return engine.Tensor._wrap(like.backend.rng.random(shape, dtype=np.float32) >= p, like.backend)


def survivors_scale(p: float) -> float:
    """What makes up for the elements dropped: 1 / (1 - p), and 0 where all are."""
    return 1 / (1 - p) if p < 1 else 0.0


def need_probability(name: str, p: Any, label: str = "p") -> float:
    """p as a float, refused outside [0, 1]."""
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)) or not 0 <= p <= 1:
        raise ArgumentError(
            f"{name}: {label}, the probability of dropping, must lie between 0 and 1, not be {p!r}"
        )
    return float(p)


@operation(
    name="dropout",
    formula="y_i = x_i m_i / (1 - p)",
    gradient_formula="gx_i = gy_i m_i / (1 - p)",
    source="Srivastava et al. 2014, Dropout, JMLR 15, section 4 (scaled in training, section 10)",
    samples=lambda draw: [
        draw.call(draw.normal(3, 4), draw.mask(3, 4), p=0.5),
        draw.call(draw.normal(2, 3, 2, 2), draw.mask(2, 3, 1, 1), p=0.2),
        draw.call(draw.normal(3), draw.mask(3) & False, p=1.0),
    ],
)
def _dropout(xp, x, mask, *, p):
    return x * survivors_scale(p) * mask


@_dropout.gradient
def dropout_gradient(xp, gy, mask, *, p):
    return gy * survivors_scale(p) * mask, None


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """In training, each element set to 0 with probability p, the others scaled to keep the expectation.

    y_i = x_i m_i / (1 - p),   m_i = 0 with probability p, else 1

    x:        floating point, any shape.
    p:        probability of dropping an element, 0 to 1.
    training: False returns x itself.

    Returns a tensor of x's shape. The mask comes from the random stream of x's device (`mg.manual_seed`); one byte
    an element is kept for backward. Gradient: gx_i = gy_i m_i / (1 - p). Raises ArgumentError for p out of range.
    Source: Srivastava et al. 2014, "Dropout: A simple way to prevent neural networks from overfitting", section 4.

    >>> import minigrad as mg
    >>> y = mg.nn.functional.dropout(mg.ones(1000), p=0.2)
    >>> sorted(set(y.tolist()))
    [0.0, 1.25]
    """
    return _drop("dropout", x, p, training, x.shape if isinstance(x, engine.Tensor) else ())


def dropout1d(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """Whole channels of x, (N, C, L) or (C, L), set to 0 with probability p. Otherwise as `dropout2d`."""
    return _drop_channels("dropout1d", x, p, training, {3: "(N, C, L)", 2: "(C, L)"}, spatial=1)


def dropout2d(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """In training, whole channels of x, (N, C, H, W), set to 0 with probability p, the others scaled by 1 / (1 - p).

    Neighbouring pixels of a feature map are alike: dropping single ones takes little away. p, training and gradient
    as for `dropout`. Raises ShapeError for another number of dimensions (`dropout1d` takes (N, C, L), `dropout3d`
    (N, C, D, H, W)).
    Source: Tompson et al. 2015, "Efficient object localization using convolutional networks", section 3.2.

    >>> import minigrad as mg
    >>> mg.nn.functional.dropout2d(mg.ones(2, 3, 4, 4), p=0.5).amax((2, 3)).shape
    (2, 3)
    """
    return _drop_channels("dropout2d", x, p, training, {4: "(N, C, H, W)"}, spatial=2)


def dropout3d(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """Whole channels of x, (N, C, D, H, W) or (C, D, H, W), set to 0 with probability p. Otherwise as `dropout2d`."""
    return _drop_channels("dropout3d", x, p, training, {5: "(N, C, D, H, W)", 4: "(C, D, H, W)"}, spatial=3)


def _drop_channels(name: str, x: Any, p: float, training: bool, layouts: dict[int, str], spatial: int) -> Any:
    if getattr(x, "ndim", None) not in layouts:
        raise ShapeError(f"{name} takes x of shape {' or '.join(layouts.values())}, not {describe(x)}")
    return _drop(name, x, p, training, (*x.shape[: x.ndim - spatial], *[1] * spatial))


def _drop(name: str, x: Any, p: float, training: bool, mask_shape: tuple[int, ...]) -> Any:
    _check(name, x)
    p = need_probability(name, p)
    return _dropout(x, random_mask(x, mask_shape, p), p=p) if training and p > 0 else x


def _check(name: str, x: Any) -> None:
    if not isinstance(x, engine.Tensor):
        raise DtypeError(f"{name} takes a tensor, not {type(x).__name__}; make one with mg.tensor(...)")
    need_floating(name, x)


# What SELU tends to for x -> -inf: -scale * alpha
_SELU_FLOOR = -1.0507009873554805 * 1.6732632423543772


def _affine(p: float) -> tuple[float, float]:
    """a and b with which mean 0 and variance 1 stay so when a share p becomes the floor."""
    a = ((1 - p) * (1 + p * _SELU_FLOOR**2)) ** -0.5 if p < 1 else 0.0
    return a, -a * p * _SELU_FLOOR


@operation(
    name="alpha_dropout",
    formula="y_i = a (x_i m_i + f (1 - m_i)) + b, f the floor of SELU",
    gradient_formula="gx_i = a gy_i m_i",
    source="Klambauer et al. 2017, Self-normalizing neural networks, section 'New dropout technique'",
    samples=lambda draw: [draw.call(draw.normal(3, 4), draw.mask(3, 4), p=0.3)],
    flops=2,
)
def _alpha_dropout(xp, x, mask, *, p):
    a, b = _affine(p)
    return xp.where(mask, x, _SELU_FLOOR) * a + b


@_alpha_dropout.gradient
def alpha_dropout_gradient(xp, gy, mask, *, p):
    return gy * _affine(p)[0] * mask, None


def alpha_dropout(x: Any, p: float = 0.5, training: bool = False) -> Any:
    """Dropout to go with SELU: mean 0 and variance 1 are kept, as dropped elements take SELU's lowest value.

    y_i = a (x_i m_i + f (1 - m_i)) + b,   f = -1.758..., a = ((1 - p)(1 + p f^2))^(-1/2), b = -a p f

    x, p, the random stream and errors as for `dropout`; `training` is False unless set, as in PyTorch.
    Source: Klambauer et al. 2017, "Self-normalizing neural networks".
    """
    _check("alpha_dropout", x)
    p = need_probability("alpha_dropout", p)
    return _alpha_dropout(x, random_mask(x, x.shape, p), p=p) if training and p > 0 else x
