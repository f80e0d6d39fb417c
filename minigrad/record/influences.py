"""The influence of each unit, by the chosen methods, as a step passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, MinigradError
from minigrad.interpret.influence_loss_change import LossChange, loss_change, parameter_values
from minigrad.interpret.influence_measure import WEIGHT_METHODS
from minigrad.interpret.influence_probe import Probe
from minigrad.interpret.influence_scores import OUTPUT_METHODS, UnitScores
from minigrad.nn.module import Module
from minigrad.observe import observe

Scores = dict[str, np.ndarray]


class Influences:
    """Measures influence in the steps that it watches.

    Methods by outputs see what the step itself computes; those by weights see its gradients just before the optimiser's
    step; the allocation of the loss's change looks back, over the straight line from where it last looked, on the probe
    set.

    wanted: says which layers' outputs to look at.
    probe:  None, or what "loss_change" is measured on.
    step:   after which it begins.
    """

    def __init__(
        self,
        model: Module,
        methods: tuple[str, ...],
        wanted: Callable[[str], bool],
        probe: Probe | None,
        step: int = 0,
    ) -> None:
        if "loss_change" in methods and probe is None:
            raise ArgumentError(
                'influence by "loss_change" needs a probe: Recorder(..., probe=(inputs, targets))'
            )
        self.model, self._wanted, self.probe = model, wanted, probe
        by_output = [m for m in methods if m in OUTPUT_METHODS]
        self._scores = UnitScores(by_output) if by_output else None
        self._by_weight = [m for m in methods if m in WEIGHT_METHODS]
        self._found: dict[str, Scores] = {}
        self._lost: set[str] = set()
        self.problems: list[str] = []
        self._before = parameter_values(model) if "loss_change" in methods else None
        self.allocation: LossChange | None = None
        self.since = self._latest = step

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the step that runs within the block."""
        self.forget()
        if self._scores is None and not self._by_weight:
            yield
            return
        with observe(self):
            yield

    def forget(self) -> None:
        """Let go of what was seen of a step."""
        self._found, self._lost, self.problems = {}, set(), []
        if self._scores is not None:
            self._scores.take()

    def take(self, step: int) -> dict[str, Scores]:
        """What this step showed, {method: {layer: scores of its units}}."""
        found = dict(self._found)
        if self._scores is not None:
            for method, scores in self._scores.take().items():
                found[method] = {layer: s for layer, s in scores.items() if layer not in self._lost}
        if self._before is not None:
            assert self.probe is not None
            inputs, targets = tuple(self.probe.inputs), self.probe.targets
            self.allocation = loss_change(self.model, self._before, inputs, targets, loss=self.probe.loss)
            self._before = parameter_values(self.model)
            self.since, self._latest = self._latest, step
            found["loss_change"] = self.allocation.by_unit()
        return found

    # ------------------------------------------------ as an observer

    def before(self, call: Any) -> None:
        """For the scores by outputs."""
        if self._scores is not None:
            try:
                self._scores.before(call)
            except MinigradError as error:  # training is none the worse for it
                self._lost.add(call.modules[0])
                self.problems.append(str(error))

    def after(self, call: Any) -> None:
        """For the scores by outputs."""

    def recorded(self, call: Any) -> None:
        """For the scores by outputs."""
        scope = call.scope
        if (
            self._scores is not None
            and scope is not None
            and scope.root is self.model
            and self._wanted(scope.modules[0])
        ):
            self._scores.recorded(call)

    def before_update(self, optimizer: Any) -> None:
        """Weights and gradients belong together until the optimiser steps."""
        for method in self._by_weight:
            self._found[method] = WEIGHT_METHODS[method](self.model)

    def after_update(self, optimizer: Any) -> None:
        """Nothing is left to be seen."""
