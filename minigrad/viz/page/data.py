"""What the page asks of a run, as JSON's types, limited in size however long the run is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.record import RunReader, Signal
from minigrad.viz.page.growing import GrowingSteps, matrices_at, matrix_steps
from minigrad.viz.page.heat import BINS, STATISTICS, HeatMaps
from minigrad.viz.page.numbers import number, numbers, packed
from minigrad.viz.page.thinning import bin_width, extremes, stride

PICTURES = 256  # steps at which a histogram is shown
VALUES = 300_000  # numbers of a matrix of units by steps
UNITS = 4096
NOTES = 2000

_BY_UNIT = ("unit_norms", "dead")


class RunData:
    """A run's answers to the page. It may be used by one thread at a time.

    path: as `minigrad.record.open` takes it.

    `generation` changes when what was told before holds no longer: training went back to a checkpoint. Answers that
    grow take `after`, the last step the page has, and tell `from`, the first step they hold: what the page
    has from there on is replaced.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.run = RunReader(path)
        self.name = self.run.path.parent.resolve().name
        self.generation = 0
        self._marks = _marks(self.run.path)
        self._forget()
        self._look()

    def _forget(self) -> None:
        self._steps = GrowingSteps()
        self._heat = HeatMaps()
        self._resumed = self.run.meta.get("resumed", "")

    def refresh(self) -> bool:
        """See what has been recorded since; returns whether anything was."""
        marks = _marks(self.run.path)
        if marks == self._marks:
            return False
        self._marks = marks
        self.run.refresh()
        if self.run.meta.get("resumed", "") != self._resumed:
            self.generation += 1
            self._forget()
        self._look()
        return True

    def _look(self) -> None:
        self._steps.update(self.run, lambda text: json.loads(text or "[]") or [])

    # ------------------------------------------------ what there is

    def state(self) -> dict[str, Any]:
        """Where the run stands; small, to be asked often."""
        steps, numbers_ = self._steps.steps, self._steps.numbers
        have = len(steps) > 0
        query = (
            "SELECT (SELECT count(*) FROM signals), (SELECT count(*) FROM layouts), (SELECT count(*) FROM snapshots), "
            "(SELECT max(id) FROM notes), (SELECT count(*) FROM epochs), (SELECT count(*) FROM agreement), "
            "(SELECT max(step) FROM influence)"
        )
        *marks, influence = self.run.query(query)[1][0]
        return {
            "name": self.name,
            "generation": self.generation,
            "structure": "-".join(str(mark) for mark in (self.generation, *marks)),
            "influence": influence,
            "first": min(int(steps[0]), self._first_matrix()) if have else None,
            "last": int(steps[-1]) if have else None,
            "count": len(steps),
            "last_time": round(float(numbers_["time"][-1]), 1)
            if have and np.isfinite(numbers_["time"][-1])
            else None,
            "seconds": number(np.nanmedian(numbers_["seconds"])) if _any(numbers_["seconds"]) else None,
            "loss": number(numbers_["loss"][-1]) if have else None,
            "epoch": number(numbers_["epoch"][-1]) if have else None,
            "started": self.run.meta.get("started"),
            "finished": self.run.meta.get("finished"),
        }

    def _first_matrix(self) -> int:
        """Weights are recorded before the first step, too, as step 0."""
        query = "SELECT min(step) FROM (SELECT (SELECT min(step) FROM matrices WHERE layout = id) AS step FROM layouts)"
        first = self.run.query(query)[1][0][0]
        return np.iinfo(np.int64).max if first is None else int(first)

    def structure(self) -> dict[str, Any]:
        """What was recorded: signals and what there is of them, methods of influence, graphs, epochs, notes."""
        run = self.run
        layouts: dict[str, set[int]] = {}
        columns: dict[str, set[str]] = {}
        for layout in run.matrices.layouts():
            layouts.setdefault(layout.name, set()).update(layout.places)
            columns.setdefault(layout.name, set()).update(layout.columns)
        with_numbers = set().union(*(layouts.get(name, set()) for name in STATISTICS))
        pictured = layouts.get("histograms", set()) | layouts.get("samples", set())
        kinds: dict[str, list[dict[str, Any]]] = {}
        for signal in run.signals():
            told = {
                "name": signal.name,
                "shape": list(signal.shape),
                "units": signal.units,
                "statistics": signal.id in with_numbers,
                "histogram": signal.id in pictured,
                "by_unit": sorted(
                    name
                    for name in layouts
                    if (name in _BY_UNIT or name.startswith("influence.")) and signal.id in layouts[name]
                ),
            }
            kinds.setdefault(signal.kind, []).append(told)
        methods = [row[0] for row in run.query("SELECT DISTINCT method FROM influence ORDER BY method")[1]]
        return {
            "configuration": run.configuration,
            "model": run.meta.get("model", ""),
            "versions": json.loads(run.meta.get("versions") or "{}"),
            "kinds": kinds,
            "layouts": sorted(layouts),
            "statistics": sorted(set().union(*(columns.get(name, set()) for name in STATISTICS))),
            "influence": methods,
            "graphs": run.snapshot_steps("graph").tolist(),
            "epochs": [_plain(epoch) for epoch in run.epochs],
            "agreement": [
                [found.step, found.method, number(found.correlation), found.units]
                for found in run.agreement()
            ],
            "notes": self._notes(),
        }

    def _notes(self) -> list[list[Any]]:
        query = f"SELECT step, severity, rule, signal, unit, text FROM notes ORDER BY step DESC, id DESC LIMIT {NOTES}"
        return [list(row) for row in reversed(self.run.query(query)[1])]

    # ------------------------------------------------ over steps

    def lines(self, after: int = -1, width: int = 0) -> dict[str, Any]:
        """Loss, rates, seconds and memory: of each bin of steps the first, last, smallest and largest."""
        steps, own = self._steps.steps, self._steps.numbers
        series = {
            "loss": own["loss"],
            "seconds": own["seconds"],
            "memory": own["memory"],
            "epoch": own["epoch"],
        }
        series |= {f"rate {group}": rates for group, rates in enumerate(self._steps.rates)}
        wide = bin_width(int(steps[0]), int(steps[-1]), BINS) if len(steps) else 1
        begin = (max(0, after) // wide) * wide if width == wide and after >= 0 else 0
        place = int(np.searchsorted(steps, begin))
        found: dict[str, Any] = {}
        for name, values in series.items():
            if not _any(values):
                continue
            at = place + extremes(steps[place:], values[place:], wide)
            found[name] = [steps[at].tolist(), numbers(values[at])]
        return {"width": wide, "from": begin, "series": found}

    def heat(self, what: str, kind: str, after: int = -1, width: int = 0) -> dict[str, Any]:
        """One quantity of all signals of a kind: means over bins of steps, packed (names, bins).

        what: a column of the statistics; "update_ratio", the norm of the change over the norm of the weight;
              "zero_share", the share of elements that are 0; "not_finite", how many elements are NaN or infinite; or
              "dead", the share of units that gave nothing but zeros.
        """
        self._heat.update(self.run)
        return self._heat.heat(self.run, what, kind, after, width)

    # ------------------------------------------------ at some steps

    def histograms(
        self, kind: str, name: str, after: int = -1, every: int = 0, limit: int = PICTURES
    ) -> dict[str, Any]:
        """A signal's histograms, or such of its recorded elements: packed lower and upper (S,), counts (S, bins)."""
        signal = self.run.signal(name, kind)
        for source in ("histograms", "samples"):
            found = self._rows(signal, source, after, every, limit)
            if found is not None:
                break
        else:
            raise ArgumentError(f"no histograms or elements of {kind} {name!r} were recorded")
        steps, values, told = found
        if source == "histograms":
            values = values[:, 0]
        else:
            values = _histograms_of(values[:, :, 0])
        return {
            **told,
            "source": source,
            "elements": int(np.prod(signal.shape)) if signal.shape else 1,
            "steps": steps,
            "lower": packed(values[:, 0]),
            "upper": packed(values[:, 1]),
            "counts": packed(values[:, 2:]),
        }

    def units(
        self, kind: str, name: str, what: str, after: int = -1, every: int = 0, limit: int = PICTURES
    ) -> dict[str, Any]:
        """A number for each unit: packed (S, units)."""
        signal = self.run.signal(name, kind)
        shown = min(signal.units, UNITS)
        found = self._rows(signal, what, after, every, max(8, min(limit, VALUES // max(1, shown))))
        if found is None:
            raise ArgumentError(f"{what} of {kind} {name!r} was not recorded")
        steps, values, told = found
        return {**told, "units": signal.units, "steps": steps, "values": packed(values[:, :UNITS, 0])}

    def _rows(
        self, signal: Signal, name: str, after: int, every: int, limit: int
    ) -> tuple[list[int], np.ndarray, dict[str, Any]] | None:
        """A signal's rows, evenly thinned: steps, (S, rows, columns), and how they were chosen."""
        layouts = [layout for layout in self.run.matrices.layouts(name) if signal.id in layout.places]
        if not layouts:
            return None
        first, stop = layouts[-1].places[signal.id]
        layouts = [
            each
            for each in layouts  # those of another size cannot stand beside it
            if each.places[signal.id][1] - each.places[signal.id][0] == stop - first
        ]
        layout_of = {step: layout for layout in layouts for step in matrix_steps(self.run, layout)}
        recorded = sorted(layout_of)
        step = stride(len(recorded), limit)
        regular = recorded[::step]
        begin = 0
        if every == step and after >= 0:
            begin = max((s for s in regular if s <= after), default=-1) + 1
        chosen = [s for s in sorted({*regular, *recorded[-1:]}) if s >= begin]
        values = np.empty((len(chosen), stop - first, len(layouts[-1].columns)))
        for layout in layouts:
            own = [i for i, s in enumerate(chosen) if layout_of[s] is layout]
            if own:
                first, stop = layout.places[signal.id]
                values[own] = matrices_at(self.run, layout, [chosen[i] for i in own])[:, first:stop]
        return chosen, values, {"every": step, "from": begin, "recorded": len(recorded)}

    def influence(self, method: str, limit: int = PICTURES) -> dict[str, Any]:
        """The highest ranks at some steps: for each a list of [layer's place in `layers`, unit, score]."""
        query = "SELECT DISTINCT step FROM influence WHERE method = ? ORDER BY step"
        recorded = [row[0] for row in self.run.query(query, method)[1]]
        if not recorded:
            raise ArgumentError(f"influence by {method!r} was not recorded")
        chosen = sorted({*recorded[:: stride(len(recorded), limit)], recorded[-1]})
        marks = ",".join("?" * len(chosen))
        query = (
            "SELECT step, name, unit, score FROM influence JOIN signals ON signals.id = signal "
            f"WHERE method = ? AND rank <= 32 AND step IN ({marks}) ORDER BY step, rank"
        )
        layers: dict[str, int] = {}
        ranks: dict[int, list[list[Any]]] = {step: [] for step in chosen}
        for step, name, unit, score in self.run.query(query, method, *chosen)[1]:
            ranks[step].append([layers.setdefault(name, len(layers)), unit, number(score)])
        return {
            "steps": chosen,
            "layers": list(layers),
            "ranks": list(ranks.values()),
            "recorded": len(recorded),
        }

    def graph(self, step: int) -> dict[str, Any]:
        """The latest graph recorded up to a step."""
        return self.run.graph(step)


def _histograms_of(samples: np.ndarray, bins: int = 32) -> np.ndarray:
    """For each row of samples (S, n) lower, upper and counts: (S, 2 + bins). Counts what is finite."""
    result = np.zeros((len(samples), 2 + bins))
    for row, sample in zip(result, samples):
        counts, edges = np.histogram(sample[np.isfinite(sample)], bins)
        row[:] = [edges[0], edges[-1], *counts]
    return result


def _any(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).any())


def _plain(epoch: dict[str, Any]) -> dict[str, Any]:
    """An epoch's numbers; what is no number is left out."""
    kept = {
        name: value for name, value in epoch.items() if isinstance(value, (int, float)) and value is not None
    }
    return {name: number(value) for name, value in kept.items()}


def _marks(path: Path) -> list[Any]:
    """What changes when the record grows."""
    found: list[Any] = []
    for name in (path.name, path.name + "-wal"):
        try:
            state = os.stat(path.with_name(name))
            found.append((state.st_mtime_ns, state.st_size))
        except OSError:
            found.append(None)
    return found
