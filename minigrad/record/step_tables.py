"""Writing a step's numbers: which signal they belong to, and how they lie in matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.backend import get_backend
from minigrad.backend.statistics import FIELDS
from minigrad.interpret.influence_measure import WEIGHT_METHODS
from minigrad.interpret.influence_units import parameter_groups
from minigrad.nn.module import Module
from minigrad.record.facts import Facts
from minigrad.record.layer_watch import KINDS, Look
from minigrad.record.parameter_watch import ParameterWatch
from minigrad.record.writer import RunWriter

BINS = 64
PARAMETER_KINDS = ("weight", "gradient", "change")
_HISTOGRAM = ("lower", "upper", *(f"bin_{i}" for i in range(BINS)))

Key = tuple[str, str]  # kind and name of a signal


class StepTables:
    """Writes numbers of signals into a run's matrices.

    elements: how many elements of each signal are kept beside its histogram.
    top:      how many of the most influential units are listed.
    """

    def __init__(self, writer: RunWriter, model: Module, elements: int, top: int) -> None:
        self.writer, self.model, self.elements, self.top = writer, model, elements, top
        self._known: dict[Key, tuple[int, int]] = {}  # number and units
        self._layouts: dict[tuple[str, tuple[Key, ...]], int] = {}

    def _signal(self, key: Key, shape: tuple[int, ...], units: int) -> None:
        if key not in self._known:
            known = self.writer.units_of(*key)  # of a run that goes on
            units = units if known is None else known
            self._known[key] = self.writer.signal(*key, shape, units), units

    # ------------------------------------------------ parameters

    def parameters(
        self, step: int, watch: ParameterWatch, kinds: tuple[str, ...], sampled: bool, facts: Facts | None
    ) -> None:
        """Statistics of all parameters, of these kinds, and if `sampled` histograms and elements."""
        numbers, samples = watch.statistics(sampled)
        self._know_parameters(watch)
        which = [PARAMETER_KINDS.index(kind) for kind in kinds]
        keys = [(kind, name) for name in watch.names for kind in kinds]
        rows = numbers[:, which].reshape(-1, len(FIELDS))
        self._matrix(step, "statistics", FIELDS, keys, rows)
        if facts is not None:
            facts.add(keys, rows)
        if sampled:
            self._samples(step, keys, rows, [parts[i] for parts in samples for i in which])

    def unit_norms(self, step: int, watch: ParameterWatch) -> None:
        """The norm of each unit's gradient and change."""
        self._know_parameters(watch)
        for kind, norms in zip(("gradient", "change"), watch.unit_norms(), strict=True):
            self._by_unit(step, "unit_norms", "norm", {(kind, name): own for name, own in norms.items()})

    def _know_parameters(self, watch: ParameterWatch) -> None:
        if watch.watched and (PARAMETER_KINDS[-1], watch.names[-1]) in self._known:
            return
        for name, p, _, units in watch.watched:
            for kind in PARAMETER_KINDS:
                self._signal((kind, name), p.shape, units)

    # ------------------------------------------------ layers

    def layers(self, step: int, looks: dict[Key, Look], facts: Facts) -> None:
        """Statistics of what was seen of layers, and where all of it was looked at, histograms, elements and zeros."""
        place = {
            layer: i for i, (_, layer) in enumerate(looks)
        }  # last seen in backward, which goes the other way
        keys = sorted(looks, key=lambda key: (KINDS.index(key[0]), -place[key[1]]))
        for key in keys:
            self._signal(key, looks[key].shape, looks[key].units)
        exact = {key: numbers for key in keys if (numbers := looks[key].numbers) is not None}
        rows = self._statistics_of([looks[key].sample for key in keys])
        self._matrix(step, "sampled", FIELDS, keys, rows)
        facts.add(keys, rows)
        if exact:
            whole = np.stack(list(exact.values()))
            facts.add(list(exact), whole)
            self._matrix(step, "full", FIELDS, list(exact), whole)
            self._samples(step, list(exact), whole, [looks[key].sample for key in exact])
        shares = {k: z for k in keys if (z := looks[k].zeros) is not None and len(z)}
        self._by_unit(step, "dead", "share", shares)
        for (_, layer), zeros in shares.items():
            facts.add_zeros(layer, zeros)

    # ------------------------------------------------ influence

    def influence(self, step: int, method: str, scores: dict[str, np.ndarray]) -> None:
        """The scores of all units, and the list of the highest."""
        found = {self._scored(method, layer, len(values)): values for layer, values in scores.items()}
        if not found:
            return
        self._by_unit(step, f"influence.{method}", "score", found)
        flat = np.concatenate(list(found.values()))
        places = [(self._known[key][0], unit) for key, values in found.items() for unit in range(len(values))]
        order = np.argsort(np.where(np.isnan(flat), np.inf, -np.abs(flat)), kind="stable")[: self.top]
        top = [(*places[i], float(flat[i])) for i in order if np.isfinite(flat[i])]
        rows = [(signal, rank, unit, score) for rank, (signal, unit, score) in enumerate(top, 1)]
        self.writer.influence(step, method, rows)

    def _scored(self, method: str, layer: str, units: int) -> Key:
        """The signal that a layer's scores belong to: its output; for scores of weights, its first parameter, which is
        the weight where there is one."""
        key, shape = ("output", layer), (units,)
        if method in WEIGHT_METHODS or method == "loss_change":
            members = parameter_groups(self.model)[layer]
            name, p = next((m for m in members if m[0].endswith("weight")), members[0])
            key, shape = ("weight", name), p.shape
        self._signal(key, shape, units)
        return key

    # ------------------------------------------------ matrices

    def _by_unit(self, step: int, name: str, column: str, parts: dict[Key, np.ndarray]) -> None:
        """A number for each unit; not of signals that have another number of units than they had at first, such as
        positions of a text."""
        fitting = {key: values for key, values in parts.items() if len(values) == self._known[key][1]}
        if fitting:
            flat = np.concatenate(list(fitting.values()))
            self._matrix(step, name, (column,), list(fitting), flat, by_unit=True)

    def _statistics_of(self, samples: list[np.ndarray]) -> np.ndarray:
        """Of samples, which are on the host."""
        return get_backend("cpu").statistics_of_all(samples)

    def _samples(
        self, step: int, keys: list[Key], numbers: np.ndarray, samples: Sequence[np.ndarray]
    ) -> None:
        """Histograms, and a few of the elements, always at the same places."""
        few = []
        for sample in samples:
            places = np.linspace(0, len(sample) - 1, min(len(sample), self.elements))
            few.append(sample[places.astype(np.int64)])
        histograms = histograms_of(numbers, samples)
        self._matrix(step, "histograms", _HISTOGRAM, keys, histograms)
        rows = [(self._known[key][0], len(values)) for key, values in zip(keys, few, strict=True)]
        layout = self.writer.layout("samples", "float32", ("value",), rows)
        with np.errstate(over="ignore"):
            self.writer.matrix(step, layout, np.concatenate(few).astype(np.float32))

    def _matrix(
        self,
        step: int,
        name: str,
        columns: Sequence[str],
        keys: Sequence[Key],
        array: np.ndarray,
        *,
        by_unit: bool = False,
    ) -> None:
        """A row for each signal, or for each unit of each."""
        found = name, tuple(keys)
        layout = self._layouts.get(found)
        if layout is None:
            rows = [(number, units if by_unit else 1) for number, units in (self._known[key] for key in keys)]
            layout = self._layouts[found] = self.writer.layout(name, "float32", columns, rows)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite
            self.writer.matrix(step, layout, np.asarray(array, np.float32))


def histograms_of(numbers: np.ndarray, samples: Sequence[np.ndarray]) -> np.ndarray:
    """Histograms of many samples at once: rows (lower, upper, 64 counts), as `Statistics.histogram` has each.

    numbers: the statistics of all elements, a row for each sample. Counts are scaled to the number of finite elements.
    """
    low, high = (numbers[:, FIELDS.index(name)].astype(np.float64) for name in ("minimum", "maximum"))
    with np.errstate(invalid="ignore"):
        close = high - low <= 1e-5 * np.maximum(np.abs(low), np.abs(high))
    low, high = np.where(close, low - 0.5, low), np.where(close, high + 0.5, high)
    nothing = ~np.isfinite(low + high)
    low, high = np.where(nothing, 0.0, low), np.where(nothing, 1.0, high)
    row = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
    values = np.concatenate([*samples, np.empty(0)]).astype(np.float64)
    finite = np.isfinite(values)
    row, values = row[finite], values[finite]
    places = ((values - low[row]) * (BINS / (high - low))[row]).astype(np.int64)
    counts = np.bincount(row * BINS + np.clip(places, 0, BINS - 1), minlength=BINS * len(samples))
    counts = counts.reshape(-1, BINS)
    looked_at = np.maximum(counts.sum(axis=1), 1)
    whole = (
        numbers[:, FIELDS.index("count")]
        - numbers[:, FIELDS.index("nans")]
        - numbers[:, FIELDS.index("infs")]
    )
    scale = np.nan_to_num(whole) / looked_at
    return np.column_stack([low, high, counts * scale[:, None]])
