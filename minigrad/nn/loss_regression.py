"""Losses for numbers, as modules. Shapes: x and target alike; y (), or of their shape with reduction "none"."""

from __future__ import annotations

from minigrad import ops
from minigrad.errors import ArgumentError
from minigrad.nn.loss import Loss
from minigrad.ops.reduction import check_reduction


class MSELoss(Loss):
    """The mean of (x - target)^2; see `minigrad.nn.functional.mse_loss`.

    >>> import minigrad as mg
    >>> mg.nn.MSELoss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 4.0]))
    tensor(2.5)
    """

    operation = staticmethod(ops.mse_loss)


class L1Loss(Loss):
    """The mean of |x - target|; see `minigrad.nn.functional.l1_loss`.

    >>> import minigrad as mg
    >>> mg.nn.L1Loss()(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 4.0]))
    tensor(1.5)
    """

    operation = staticmethod(ops.l1_loss)


class HuberLoss(Loss):
    """Squared near 0, absolute beyond `delta`; see `minigrad.nn.functional.huber_loss`. delta > 0.

    >>> import minigrad as mg
    >>> mg.nn.HuberLoss(reduction="none")(mg.tensor([0.5, 3.0]), mg.zeros(2))
    tensor([0.125, 2.5  ])
    """

    operation = staticmethod(ops.huber_loss)
    settings = ("reduction", "delta")

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        check_reduction("HuberLoss", reduction)
        if not delta > 0:
            raise ArgumentError(f"HuberLoss: delta must be > 0, not {delta}")
        self.reduction, self.delta = reduction, delta


class SmoothL1Loss(Loss):
    """`HuberLoss` divided by its delta, here called beta; see `minigrad.nn.functional.smooth_l1_loss`. beta >= 0.

    >>> import minigrad as mg
    >>> mg.nn.SmoothL1Loss(reduction="none")(mg.tensor([0.5, 3.0]), mg.zeros(2))
    tensor([0.125, 2.5  ])
    """

    operation = staticmethod(ops.smooth_l1_loss)
    settings = ("reduction", "beta")

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not beta >= 0:
            raise ArgumentError(f"SmoothL1Loss: beta must be >= 0, not {beta}")
        self.beta = beta


class SoftMarginLoss(Loss):
    """The mean of log(1 + e^(-target x)), targets 1 and -1; see `minigrad.nn.functional.soft_margin_loss`.

    >>> import minigrad as mg
    >>> mg.nn.SoftMarginLoss()(mg.tensor([0.0]), mg.tensor([1.0]))
    tensor(0.6931472)
    """

    operation = staticmethod(ops.soft_margin_loss)
