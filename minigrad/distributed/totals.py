"""Losses and metrics over the examples of all ranks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad import communicator
from minigrad.communicator import Communicator


class ReducedTotals:
    """A trainer's totals, over what all ranks have seen: `trainer.totals = ReducedTotals(trainer.totals)`.

    totals:        a `Totals`: metrics by name, each with the names of its sums in `saved`. Sums over different examples
                   must add up to that over all, as they do for every metric of minigrad.
    wants_to_stop: called with each batch; all ranks are told where one wants to.

    Each batch's sums are added up over the ranks at once (a hundred bytes), so at any time all ranks hold the same
    numbers, the whole's: a checkpoint's too, and decisions that rest on them are the same on all.

    loss: the mean loss of the latest batch, over all its parts.
    stop: whether, at the latest batch, a rank wanted to stop.
    """

    def __init__(
        self,
        totals: Any,
        wants_to_stop: Callable[[], bool] = lambda: False,
        process_group: Communicator | None = None,
    ) -> None:
        self.totals, self.wants_to_stop = totals, wants_to_stop
        self.group = communicator.current() if process_group is None else process_group
        self._batch = copy.deepcopy(totals)
        self.loss, self.stop = float("nan"), False

    def __deepcopy__(self, memo: dict[int, Any]) -> ReducedTotals:
        return ReducedTotals(copy.deepcopy(self.totals, memo), self.wants_to_stop, self.group)

    def reset(self) -> ReducedTotals:
        """Forget what was seen; returns itself."""
        self.totals.reset()
        return self

    def add(self, loss: float, output: Any, targets: Any) -> None:
        """Take in a batch, of which each rank gives its part; called by all."""
        batch = self._batch.reset()
        batch.add(loss, output, targets)
        places = [(metric, name) for metric in batch._all().values() for name in metric.saved]
        sums = [np.asarray(getattr(metric, name), np.float64) for metric, name in places]
        flat = np.concatenate([[float(self.wants_to_stop())], *(s.reshape(-1) for s in sums)])
        self.group.all_reduce(flat)
        self.stop, at = bool(flat[0]), 1
        own = [metric for metric in self.totals._all().values() for _ in metric.saved]
        for (metric, name), total, s in zip(places, own, sums):
            part = flat[at : at + s.size].reshape(s.shape)
            at += s.size
            _add_to(total, name, part)
            setattr(metric, name, part if s.ndim else part.item())
        self.loss = batch.loss.compute()

    def results(self, purpose: str) -> dict[str, Any]:
        """The numbers by name."""
        return self.totals.results(purpose)

    def state_dict(self) -> dict[str, Any]:
        """What was seen, by all ranks."""
        return self.totals.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state, which is the same on all ranks."""
        self.totals.load_state_dict(state_dict)


def _add_to(metric: Any, name: str, part: np.ndarray) -> None:
    """Add to a metric's sum, which stays of its type; a matrix that has not begun is empty."""
    before = getattr(metric, name)
    if isinstance(before, np.ndarray):
        setattr(
            metric,
            name,
            part.astype(before.dtype) if before.size == 0 else before + part.astype(before.dtype),
        )
    else:
        setattr(metric, name, type(before)(before + part.item()))
