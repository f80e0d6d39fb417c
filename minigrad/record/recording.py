"""One run being recorded: what is watched in a step, and what is written when it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.backend import Backend, default_backend
from minigrad.errors import GraphError
from minigrad.interpret.influence_agreement import agreement
from minigrad.interpret.influence_measure import influence
from minigrad.interpret.influence_probe import Probe
from minigrad.machine import memory_in_use
from minigrad.nn.module import Module
from minigrad.observe import Call, observe, seen_by
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
    step:      after which recording begins.
    """

    def __init__(
        self,
        writer: RunWriter,
        configuration: RecorderConfiguration,
        model: Module,
        optimizer: Optimizer | None,
        probe: tuple[Any, Any] | None,
        loss: Callable[..., Any] | None,
        step: int = 0,
    ) -> None:
        self.writer, self.configuration, self.model, self.optimizer = writer, configuration, model, optimizer
        self.probe = None if probe is None else Probe(model, *probe, loss)
        self.parameters = ParameterWatch(model, configuration.wants_parameter)
        self.layers = LayerWatch(model, configuration.wants_layer, optimizer)
        self.influences = Influences(
            model, configuration.influence, configuration.wants_layer, self.probe, step
        )
        self.tables = StepTables(writer, model, configuration.elements, configuration.top)
        self.full = False  # whether the record has reached its budget
        self._watching: ExitStack | None = None
        self._trace: Trace | None = None
        self._graph_due, self._began = configuration.graph == EPOCH, 0.0
        self._rates: list[float] = []
        self._compared: int | None = None  # the step after which parameters were last looked at
        self._told: set[str] = set()
        self._backend: Backend = next((p.backend for p in model.parameters()), default_backend())

    # ------------------------------------------------ a step

    def begin(self, step: int, again: bool = False) -> None:
        """The forward of the step with this number, from 1, is about to run; `again`: of another of its batches."""
        c = self.configuration
        if again:
            self._stop()
        else:
            self.abandon()
            self._rates = self._rates_now()  # a scheduler moves on within the step
            self._began = time.perf_counter()
        if self.full:
            return
        full, units = due(c.full_every, step), due(c.units_every, step)
        if (full or units or due(c.statistics_every, step)) and self._compared != step - 1:
            self.parameters.refresh()
            self._compared = step - 1
        with ExitStack() as watching:
            if full or due(c.layers_every, step):
                self.layers.begin(c.look, full)
                watching.enter_context(observe(self.layers))
            if units:
                watching.enter_context(self.influences.watching())
            if self._graph_due or due(c.graph, step):
                self._trace = watching.enter_context(trace("stats", updates=True))
            self._watching = watching.pop_all()

    def _rates_now(self) -> list[float]:
        return [] if self.optimizer is None else [float(g["lr"]) for g in self.optimizer.param_groups]

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
        seconds, traced = time.perf_counter() - self._began, self._trace
        self._stop()
        rates = self._rates if self.layers.rates is None else self.layers.rates
        loss = None if loss is None else float(loss)
        facts = Facts(step, loss)
        if not self.full:
            with seen_by(_NOBODY):
                self._write_details(step, facts, traced)
        self.writer.step(  # last: a step that is there has all its numbers
            step,
            epoch=epoch,
            batch=batch,
            seconds=seconds,
            loss=loss,
            rates=rates,
            memory=memory_in_use(),
            samples=samples,
            random=self._backend.rng.bit_generator.state,
        )
        return facts

    def _write_details(self, step: int, facts: Facts, traced: Trace | None) -> None:
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

    def _stop(self) -> None:
        """Look no longer."""
        watching, self._watching, self._trace = self._watching, None, None
        if watching is not None:
            watching.close()

    def abandon(self) -> None:
        """If a step is running, it has failed: let go of it."""
        if self._watching is not None:
            self._stop()
            self.layers.forget()
            self.influences.forget()
            self._compared = None  # the weights may have moved all the same

    def _write_influence(self, step: int) -> None:
        for method, scores in self.influences.take(step).items():
            self.tables.influence(step, method, scores)
        for problem in self.influences.problems:
            self._note_once(step, "influence", problem)
        change = self.influences.allocation
        if change is not None:
            self.writer.note(
                step,
                "note",
                "loss change",
                f"since step {self.influences.since} the loss on the probe set changed by {change.actual:+.3e}, of "
                f"which {change.total:+.3e} is allocated to parameters: the residual is {change.residual:+.1e}",
            )

    def _write_statistics(self, step: int, facts: Facts) -> None:
        c = self.configuration
        full = due(c.full_every, step)
        if self.parameters.watched and (full or due(c.statistics_every, step)):
            self.tables.parameters(step, self.parameters, PARAMETER_KINDS, full, facts)
            self._compared = step
        if self.layers.looks:
            self.tables.layers(step, self.layers.looks, facts)
        self.layers.forget()

    # ------------------------------------------------ states

    def start(self) -> None:
        """The state that training starts from is step 0."""
        if self.parameters.watched and self.configuration.full_every is not None:
            self.tables.parameters(0, self.parameters, ("weight",), True, None)
        with seen_by(_NOBODY):
            self._write_states(0, lambda every: every is not None)

    def end_epoch(self, epoch: int, step: int, numbers: Mapping[str, Any]) -> None:
        """An epoch has ended, after `step`; `numbers` are its metrics."""
        self.writer.epoch(epoch, step, numbers)
        if not self.full:
            with seen_by(_NOBODY):
                self._write_states(step, lambda every: every == EPOCH)
            self._graph_due = self.configuration.graph == EPOCH

    def _write_states(self, step: int, wanted: Callable[[Any], bool]) -> None:
        c = self.configuration
        if wanted(c.snapshots):
            self.writer.snapshot(step, "weights", self.model.state_dict())
        if self.probe is not None and wanted(c.probe):
            with self.probe.running(record=False):
                output = self.model(*self.probe.inputs)
            self.writer.snapshot(step, "probe", dict(_tensors("output", output)))
        if self.probe is not None and wanted(c.agreement):
            self._write_agreement(step, self.probe)

    def _write_agreement(self, step: int, probe: Probe) -> None:
        """How the ranking by each method agrees with ablations."""
        for method in (m for m in self.configuration.influence if m != "loss_change"):
            found = influence(self.model, tuple(probe.inputs), probe.targets, probe.loss, method)
            try:
                units, scores, truth = found.beside_truth(self.configuration.agreement_units)
            except GraphError as error:
                self._note_once(step, "agreement", str(error))
                continue
            rows = [
                {"layer": layer, "unit": unit, "score": score, "increase": increase}
                for (layer, unit), score, increase in zip(units, scores.tolist(), truth.tolist(), strict=True)
            ]
            rho = agreement(np.abs(scores), np.abs(truth)) if len(units) > 1 else None
            self.writer.agreement(step, method, rho, len(units), rows)

    def _note_once(self, step: int, what: str, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.writer.note(step, "note", what, text)

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


class _Nobody:
    """Sees what a recorder runs itself: other recorders and traces must not."""

    def before(self, call: Call) -> None:
        pass

    def after(self, call: Call) -> None:
        pass


_NOBODY = _Nobody()


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """All tensors in what a model returns, by name: "output", or "output.0", "output.logits", ..."""
    if isinstance(value, Tensor):
        yield name, value.detach()
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _tensors(f"{name}.{key}", part)
    elif isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            yield from _tensors(f"{name}.{i}", part)


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
