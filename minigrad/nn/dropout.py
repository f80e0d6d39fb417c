"""Dropout as layers: they act in training mode only. The masks come from the random stream of x's device.

PyTorch's argument `inplace` is accepted and changes nothing: the result is always a new tensor.
"""

from __future__ import annotations

from minigrad import ops
from minigrad.errors import ArgumentError
from minigrad.nn.operation_layer import OperationLayer


class _Dropout(OperationLayer):
    """What all share: the probability p, and that training mode is passed on."""

    settings = ("p", "training")
    shown = ("p",)

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"{type(self).__name__}: p must be a probability, 0 to 1, not {p}")
        self.p = p


class Dropout(_Dropout):
    """In training each element is set to 0 with probability p, and the rest scaled by 1 / (1 - p); in evaluation y = x.

    p: probability of dropping an element, in [0, 1].

    Shapes: x and y alike. Gradient: gy, dropped and scaled as x was.
    Raises ArgumentError for p out of range. Source: Srivastava et al. 2014, section 4.

    >>> import minigrad as mg
    >>> mg.nn.Dropout(0.5).eval()(mg.ones(3))
    tensor([1., 1., 1.])
    """

    operation = staticmethod(ops.dropout)


class Dropout1d(_Dropout):
    """Dropout of whole channels of x, (N, C, L) or (C, L), each with probability p.

    >>> import minigrad as mg
    >>> mg.nn.Dropout1d(1.0)(mg.ones(1, 1, 3))
    tensor([[[0., 0., 0.]]])
    """

    operation = staticmethod(ops.dropout1d)


class Dropout2d(_Dropout):
    """Dropout of whole channels of x, (N, C, H, W), each with probability p; see `minigrad.nn.functional.dropout2d`.

    Source: Tompson et al. 2015, section 3.2.

    >>> import minigrad as mg
    >>> y = mg.nn.Dropout2d(0.5)(mg.ones(2, 3, 4, 4))
    >>> sorted(set(y.flatten(2).std(2).flatten().tolist()))  # all pixels of a channel share its fate
    [0.0]
    """

    operation = staticmethod(ops.dropout2d)


class Dropout3d(_Dropout):
    """Dropout of whole channels of x, (N, C, D, H, W) or (C, D, H, W), each with probability p.

    >>> import minigrad as mg
    >>> mg.nn.Dropout3d(1.0)(mg.ones(1, 1, 1, 1, 2))
    tensor([[[[[0., 0.]]]]])
    """

    operation = staticmethod(ops.dropout3d)


class AlphaDropout(_Dropout):
    """Dropout to go with `SELU`: dropped elements take its lowest value, and mean 0 and variance 1 are kept.

    See `minigrad.nn.functional.alpha_dropout` for the formula. Source: Klambauer et al. 2017.

    >>> import minigrad as mg
    >>> abs(mg.nn.AlphaDropout(0.3)(mg.randn(10000)).std().item() - 1) < 0.1
    True
    """

    operation = staticmethod(ops.alpha_dropout)
