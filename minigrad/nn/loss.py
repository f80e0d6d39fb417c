"""Losses for classification and distributions, as modules.

Weights are buffers: `to` moves them, `state_dict` saves them.
reduction, of all losses: "mean", "sum" or "none", the losses one by one; ArgumentError for another.
"""

from __future__ import annotations

from typing import ClassVar

from minigrad import ops
from minigrad.nn.operation_layer import OperationLayer
from minigrad.ops.reduction import check_reduction
from minigrad.tensor import Tensor


class Loss(OperationLayer):
    """What all losses share: the reduction, by default the mean."""

    settings: ClassVar[tuple[str, ...]] = ("reduction",)
    shown = ()

    def __init__(self, *, reduction: str = "mean") -> None:
        check_reduction(type(self).__name__, reduction)
        self.reduction = reduction


class CrossEntropyLoss(Loss):
    """The mean of -log softmax(x)[target]; see `minigrad.nn.functional.cross_entropy` for the formula with all options.

    weight:          (C,), how much each class counts, or None for 1.
    ignore_index:    targets of this value count for nothing.
    reduction:       "mean", "sum" or "none".
    label_smoothing: share of the target that is spread over all classes, in [0, 1].

    Shapes: x (N, C, ...), logits; target (N, ...), classes, or of x's shape, probabilities; y (), or (N, ...) with
    "none".

    >>> import minigrad as mg
    >>> mg.nn.CrossEntropyLoss()(mg.zeros(3, 2), mg.tensor([0, 1, 1]))
    tensor(0.6931472)
    """

    operation = staticmethod(ops.cross_entropy)
    settings = ("weight", "ignore_index", "reduction", "label_smoothing")

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing


class NLLLoss(Loss):
    """The mean of -x[target], x log-probabilities as `LogSoftmax` gives them; see `minigrad.nn.functional.nll_loss`.

    weight, ignore_index, reduction and shapes: as for `CrossEntropyLoss` with classes as targets.

    >>> import minigrad as mg
    >>> mg.nn.NLLLoss()(mg.tensor([[-0.5, -2.0]]), mg.tensor([1]))
    tensor(2.)
    """

    operation = staticmethod(ops.nll_loss)
    settings = ("weight", "ignore_index", "reduction")

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index


class BCELoss(Loss):
    """The mean of -(t log x + (1 - t) log(1 - x)), x probabilities; see `minigrad.nn.functional.binary_cross_entropy`.

    weight: broadcasts to the shape of x. Shapes: x and target alike. With logits, take `BCEWithLogitsLoss`.

    >>> import minigrad as mg
    >>> mg.nn.BCELoss()(mg.tensor([0.5]), mg.tensor([1.0]))
    tensor(0.6931472)
    """

    operation = staticmethod(ops.binary_cross_entropy)
    settings = ("weight", "reduction")

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight: Tensor | None
        self.register_buffer("weight", weight)


class BCEWithLogitsLoss(Loss):
    """Binary cross entropy of sigmoid(x); see `minigrad.nn.functional.binary_cross_entropy_with_logits`.

    weight, pos_weight: broadcast to the shape of x; pos_weight > 1 counts a positive as several.
    Shapes: x, logits, and target alike.

    >>> import minigrad as mg
    >>> mg.nn.BCEWithLogitsLoss()(mg.tensor([0.0, 100.0]), mg.tensor([1.0, 1.0]))
    tensor(0.3465736)
    """

    operation = staticmethod(ops.binary_cross_entropy_with_logits)
    settings = ("weight", "reduction", "pos_weight")

    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight: Tensor | None
        self.pos_weight: Tensor | None
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)


class KLDivLoss(Loss):
    """The mean of t (log t - x), x log-probabilities; see `minigrad.nn.functional.kl_div`.

    reduction:  also "batchmean", the sum divided by the number of samples: the divergence as it is defined.
    log_target: whether the targets are logarithms too.

    Shapes: x and target alike.

    >>> import minigrad as mg
    >>> mg.nn.KLDivLoss(reduction="batchmean")(mg.tensor([[0.25, 0.75]]).log(), mg.tensor([[0.25, 0.75]]))
    tensor(0.)
    """

    operation = staticmethod(ops.kl_div)
    settings = ("reduction", "log_target")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        check_reduction("KLDivLoss", reduction, ("none", "mean", "sum", "batchmean"))
        self.reduction, self.log_target = reduction, log_target


class PoissonNLLLoss(Loss):
    """The mean of e^x - t x for counts t with rates e^x; see `minigrad.nn.functional.poisson_nll_loss`.

    log_input: False if x is the rate itself.
    full:      add Stirling's approximation of log t!.
    eps:       keeps the logarithm of a rate finite.

    Shapes: x and target alike.

    >>> import minigrad as mg
    >>> mg.nn.PoissonNLLLoss()(mg.tensor([0.0]), mg.tensor([3.0]))
    tensor(1.)
    """

    operation = staticmethod(ops.poisson_nll_loss)
    settings = ("log_input", "full", "eps", "reduction")

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.log_input, self.full, self.eps = log_input, full, eps


class GaussianNLLLoss(Loss):
    """The mean of (log var + (x - t)^2 / var) / 2; see `minigrad.nn.functional.gaussian_nll_loss`.

    full: add log(2 pi) / 2. eps: the smallest variance. Called with x, target and var.

    >>> import minigrad as mg
    >>> mg.nn.GaussianNLLLoss()(mg.tensor([1.0]), mg.tensor([3.0]), mg.tensor([1.0]))
    tensor(2.)
    """

    operation = staticmethod(ops.gaussian_nll_loss)
    settings = ("full", "eps", "reduction")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps
