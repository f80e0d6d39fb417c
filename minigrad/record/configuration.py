"""What a recorder writes, and how often."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.interpret.influence_measure import METHODS

Every = int | str | None
EPOCH = "epoch"


@dataclass(frozen=True)
class RecorderConfiguration:
    """Cadence, filters and budget of a Recorder. Cadences are in steps; None for never.

    parameters, layers: shell patterns of parameters' dotted names and of layers' paths to record.
    statistics_every:   statistics of each parameter, its gradient and its change, over all their elements.
    layers_every:       statistics of each layer's input and output and of their gradients, from `look` elements each.
    look:               how many.
    units_every:        for each unit (output channel, neuron) the norm of its weights' gradient and change, without
                        its bias's, and its influence.
    influence:          by which methods: "taylor", "fisher", "weight_gradient", "snip", "loss_change" (see
                        `minigrad.interpret.influence`).
    top:                how many of the most influential units are listed each time.
    full_every:         statistics of the layers' signals over all their elements, histograms of everything from 4,096
                        elements, `elements` of these, and for each unit the share of zeros in its output.
    elements:           how many.
    snapshots:          weights and buffers, in steps or "epoch": then at the start and after each.
    probe:              the outputs on the probe set, likewise.
    agreement:          hold the influence against ablations on the probe set, likewise.
    agreement_units:    how many units are ablated for it, one by one.
    graph:              a trace of a whole step, likewise.
    budget:             bytes that the record may take; beyond, only each step's loss, rates and times go on. None for
                        no limit.

    `RecorderConfiguration.everything()` records all at each step, for a small network.
    """

    parameters: str | Iterable[str] = "*"
    layers: str | Iterable[str] = "*"
    statistics_every: int | None = 1
    layers_every: int | None = 1
    look: int = 256
    units_every: int | None = 10
    influence: tuple[str, ...] = ("taylor",)
    top: int = 16
    full_every: int | None = 50
    elements: int = 128
    snapshots: Every = EPOCH
    probe: Every = EPOCH
    agreement: Every = None
    agreement_units: int = 64
    graph: Every = EPOCH
    budget: int | None = 2 << 30

    def __post_init__(self) -> None:
        for name in ("parameters", "layers"):
            given = getattr(self, name)
            patterns = (given,) if isinstance(given, str) else tuple(given)
            object.__setattr__(self, name, patterns)
        methods = (self.influence,) if isinstance(self.influence, str) else tuple(self.influence)
        object.__setattr__(self, "influence", methods)
        if unknown := set(methods) - set(METHODS):
            raise ArgumentError(f"influence is by {', '.join(METHODS)}, not {', '.join(sorted(unknown))}")
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), str(field.type)
            if kind == "Every" and value == EPOCH:
                continue
            if kind in ("Every", "int | None") and value is None:
                continue
            if kind in ("Every", "int | None", "int") and (not _whole(value) or value < 1):
                allowed = f"a whole number from 1{', None' if kind != 'int' else ''}"
                allowed += ' or "epoch"' if kind == "Every" else ""
                raise ArgumentError(f"{field.name} must be {allowed}, not {value!r}")

    @classmethod
    def everything(cls, **changes: Any) -> RecorderConfiguration:
        """All at each step: every unit, histogram and snapshot. For small networks and short runs."""
        every_step = {
            "units_every": 1,
            "full_every": 1,
            "snapshots": 1,
            "probe": 1,
            "graph": EPOCH,
            "agreement": EPOCH,
            "look": 4096,
            "elements": 4096,
        }
        return cls(**{**every_step, **changes})

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}

    def wants_parameter(self, name: str) -> bool:
        """Whether this parameter is recorded."""
        return any(fnmatchcase(name, pattern) for pattern in self.parameters)

    def wants_layer(self, path: str) -> bool:
        """Whether this layer is recorded."""
        return any(fnmatchcase(path, pattern) for pattern in self.layers)


def due(every: Every, step: int) -> bool:
    """Whether a step is one of a cadence in steps; each first step is."""
    return isinstance(every, int) and (step == 1 or step % every == 0)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
