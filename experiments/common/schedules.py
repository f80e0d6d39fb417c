"""Learning-rate schedules by name, each stretched over the whole of a run."""

from __future__ import annotations

from collections.abc import Callable

from minigrad.optim import Optimizer
from minigrad.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR


def _onecycle(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Up from a 25th of the rate, then down to nearly nothing (Smith & Topin 2018)."""
    rates = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, rates, total_steps=steps, cycle_momentum=False)


def _step(optimizer: Optimizer, steps: int) -> LRScheduler:
    """A tenth of the rate after half of the steps, a hundredth after three quarters (He et al. 2016, section 4.2)."""
    return MultiStepLR(optimizer, [steps // 2, 3 * steps // 4])


SCHEDULES: dict[str, Callable[[Optimizer, int], LRScheduler | None]] = {
    "onecycle": _onecycle,
    "cosine": lambda optimizer, steps: CosineAnnealingLR(optimizer, T_max=steps),
    "step": _step,
    "constant": lambda optimizer, steps: None,
}
"""A function of the optimiser, which has the highest rate, and the number of steps, for each name."""
