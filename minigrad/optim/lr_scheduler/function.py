"""A schedule given by a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minigrad.errors import ArgumentError
from minigrad.optim.lr_scheduler.base import LRScheduler, checked_optimizer, per_group
from minigrad.optim.optimizer import Optimizer


class LambdaLR(LRScheduler):
    """The base rate times a function of the number of steps: lr = base f(t) after t steps.

    optimizer:  whose rates are set.
    lr_lambda:  a function from the number of steps to a factor, or a list of one for each group. It is not part of
                the state: make the schedule with the same function before its state is loaded.
    last_epoch: see `LRScheduler`.

    Raises ArgumentError for what cannot be called.

    >>> import minigrad as mg
    >>> optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = mg.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (t + 1))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = per_group(checked_optimizer(self, optimizer), "lr_lambda", lr_lambda)
        if not all(callable(f) for f in self.lr_lambdas):
            raise ArgumentError(f"lr_lambda must be a function of the number of steps, not {lr_lambda!r:.80}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The base rates times the functions' values."""
        return [base * f(self.last_epoch) for f, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]
