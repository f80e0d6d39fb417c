"""One run being recorded: what is watched in a step, and what is written when it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.backend import Backend, default_backend
from minigrad.interpret.influence_agreement import agreement
from minigrad.interpret.influence_measure import influence
from minigrad.interpret.influence_probe import Probe
from minigrad.machine import memory_in_use
from minigrad.nn.module import Module
from minigrad.observe import observe
from minigrad.optim.optimizer import Optimizer
from minigrad.record.configuration import EPOCH, RecorderConfiguration, due
from minigrad.record.facts import Facts
from minigrad.record.influences import Influences
from minigrad.record.layer_watch import LayerWatch
from minigrad.record.parameter_watch import ParameterWatch
from minigrad.record.step_tables import PARAMETER_KINDS, StepTables
from minigrad.record.writer import RunWriter
from minigrad.tensor import Tensor
from minigrad.tracing.trace import Trace, trace

_BUDGET_EVERY = 25  # steps: how often the folder's size is looked up


class Recording:
    """Watches the steps of one model and writes them.

    writer:    where to.
    model, optimizer: what is trained; the optimizer, where it is known, for its rates.
    probe:     (inputs, targets), a fixed set of examples, or None.
    loss:      of the probe: a function (outputs, targets); by default cross entropy.
    """

    def __init__(
        self,
        writer: RunWriter,
        configuration: RecorderConfiguration,
        model: Module,
        optimizer: Optimizer | None,
        probe: tuple[Any, Any] | None,
        loss: Callable[..., Any] | None,
    ) -> None:
        self.writer, self.configuration, self.model, self.optimizer = writer, configuration, model, optimizer
        self.probe = None if probe is None else Probe(model, *probe, loss)
        self.parameters = ParameterWatch(model, configuration.wants_parameter)
        self.layers = LayerWatch(model, configuration.wants_layer)
        self.influences = Influences(model, configuration.influence, configuration.wants_layer, self.probe)
        self.tables = StepTables(writer, model, configuration.elements, configuration.top)
        self.full = False  # whether the record has reached its budget
        self._watching: ExitStack | None = None
        self._trace: Trace | None = None
        self._graph_due, self._began = configuration.graph == EPOCH, 0.0
        self._backend: Backend = next((p.backend for p in model.parameters()), default_backend())

    # ------------------------------------------------ a step

    def begin(self, step: int) -> None:
        """The forward of the step with this number, from 1, is about to run."""
        self.abandon()
        c, watching = self.configuration, ExitStack()
        if not self.full:
            full = due(c.full_every, step)
            if full or due(c.layers_every, step):
                self.layers.begin(c.look, full)
                watching.enter_context(observe(self.layers))
            if due(c.units_every, step):
                watching.enter_context(self.influences.watching())
            if self._graph_due or due(c.graph, step):
                self._trace = watching.enter_context(trace("stats", updates=True))
        self._watching, self._began = watching, time.perf_counter()

    def end(
        self,
        step: int,
        loss: float | None,
        *,
        epoch: int | None = None,
        batch: int | None = None,
        samples: Any = None,
    ) -> Facts:
        """The optimiser has stepped, and gradients are still there; returns what the step showed."""
        seconds = None if self._watching is None else time.perf_counter() - self._began
        traced = self._trace
        self.abandon()
        facts = Facts(step, loss)
        if not self.full:
            units = due(self.configuration.units_every, step)
            if units and self.parameters.watched:  # before the values of the last step are let go
                self.tables.unit_norms(step, self.parameters)
            self._write_statistics(step, facts)
            if units:
                self._write_influence(step)
            if traced is not None:
                self.writer.graph(step, traced.as_dict())
                self._graph_due = False
            self._write_states(step, lambda every: isinstance(every, int) and step % every == 0)
            if step % _BUDGET_EVERY == 0:
                self._check_budget(step)
        self.writer.step(  # last: a step that is there has all its numbers
            step,
            epoch=epoch,
            batch=batch,
            seconds=seconds,
            loss=loss,
            rates=[] if self.optimizer is None else [g["lr"] for g in self.optimizer.param_groups],
            memory=memory_in_use(),
            samples=samples,
            random=self._backend.rng.bit_generator.state,
        )
        return facts

    def abandon(self) -> None:
        """Look no longer at the step that runs: it has ended, or failed."""
        watching, self._watching, self._trace = self._watching, None, None
        if watching is not None:
            watching.close()

    def _write_influence(self, step: int) -> None:
        for method, scores in self.influences.take().items():
            self.tables.influence(step, method, scores)
        change = self.influences.allocation
        if change is not None:
            self.writer.note(
                step,
                "note",
                "loss change",
                f"since the last look the loss on the probe set changed by {change.actual:+.3e}, of which "
                f"{change.total:+.3e} is allocated to parameters: the residual is {change.residual:+.1e}",
            )

    def _write_statistics(self, step: int, facts: Facts) -> None:
        c = self.configuration
        full = due(c.full_every, step)
        if self.parameters.watched and (full or due(c.statistics_every, step)):
            self.tables.parameters(step, self.parameters, PARAMETER_KINDS, full, facts)
        if self.layers.looks:
            self.tables.layers(step, self.layers.looks, facts)
            self.layers.forget()

    # ------------------------------------------------ states

    def start(self) -> None:
        """The state that training starts from is step 0."""
        if self.parameters.watched and self.configuration.full_every is not None:
            self.tables.parameters(0, self.parameters, ("weight",), True, None)
        self._write_states(0, lambda every: every is not None)

    def end_epoch(self, epoch: int, step: int, numbers: Mapping[str, Any]) -> None:
        """An epoch has ended, after `step`; `numbers` are its metrics."""
        self.writer.epoch(epoch, step, numbers)
        if not self.full:
            self._write_states(step, lambda every: every == EPOCH)
            self._graph_due = self.configuration.graph == EPOCH

    def _write_states(self, step: int, wanted: Callable[[Any], bool]) -> None:
        c = self.configuration
        if wanted(c.snapshots):
            self.writer.snapshot(step, "weights", self.model.state_dict())
        if self.probe is not None and wanted(c.probe):
            with self.probe.running(record=False):
                output = self.model(*self.probe.inputs)
            if isinstance(output, Tensor):
                self.writer.snapshot(step, "probe", {"output": output.detach()})
        if self.probe is not None and wanted(c.agreement):
            self._write_agreement(step, self.probe)

    def _write_agreement(self, step: int, probe: Probe) -> None:
        """How the ranking by each method agrees with ablations."""
        for method in (m for m in self.configuration.influence if m != "loss_change"):
            found = influence(self.model, tuple(probe.inputs), probe.targets, probe.loss, method)
            units, scores, truth = found.beside_truth(self.configuration.agreement_units)
            rows = [
                {"layer": layer, "unit": unit, "score": score, "increase": increase}
                for (layer, unit), score, increase in zip(units, scores.tolist(), truth.tolist(), strict=True)
            ]
            rho = agreement(np.abs(scores), np.abs(truth)) if len(units) > 1 else None
            self.writer.agreement(step, method, rho, len(units), rows)

    # ------------------------------------------------ the budget

    def _check_budget(self, step: int) -> None:
        limit = self.configuration.budget
        if limit is None or bytes_in(self.writer.folder) <= limit:
            return
        self.full = True
        self.writer.note(
            step,
            "warning",
            "budget",
            f"the record has reached its budget of {limit:,} bytes: from here on only the loss, rates and times of "
            "steps and the numbers of epochs are recorded",
        )


def bytes_in(folder: Path) -> int:
    """The size of a record on the disk: database, snapshots and graphs."""
    files = [*folder.glob("record.sqlite*"), *folder.glob("snapshots/*"), *folder.glob("graphs/*")]
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except OSError:  # renamed meanwhile
            continue
    return total
