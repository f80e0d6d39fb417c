"""Reading a recorded run: while it is recorded, after a kill, or years later."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DataError
from minigrad.record import quantities
from minigrad.record.matrices import Matrices
from minigrad.record.opening import ReadableDatabase
from minigrad.record.quantities import DEAD, UPDATE_RATIO, Series
from minigrad.record.rows import Agreement, Influence, Note, Signal
from minigrad.record.schema import DATABASE
from minigrad.record.snapshots import SnapshotStore


def open_run(path: str | os.PathLike[str]) -> RunReader:
    """Open a recorded run to read it; nothing of it is changed, and it may be being recorded.

    path: the run's folder, or its `record.sqlite`.

    Raises DataError if there is none, it is damaged, or it was recorded by a later version.
    """
    return RunReader(path)


class RunReader:
    """What was recorded of a run. Made by `minigrad.record.open`.

    Steps are sorted, series are float64, and what is asked for but was not recorded raises ArgumentError, telling what
    there is. Matrices that have been read are kept in memory: `refresh` looks again at a run that is still being
    recorded. It may be used by one thread at a time.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given = Path(path)
        self.path = given / DATABASE if given.is_dir() else given
        self._database = ReadableDatabase(self.path)
        self.matrices = Matrices(self._database)
        self._files = SnapshotStore(self.path.parent)
        self.refresh()

    def __repr__(self) -> str:
        return f"RunReader({str(self.path)!r})"

    def refresh(self) -> None:
        """Read anew from now on."""
        self._database.forget()
        self.matrices.forget()
        self._snapshot: tuple[str, dict[str, np.ndarray]] | None = None
        self.meta = dict(self._rows("SELECT key, value FROM meta"))
        found = self._rows("SELECT id, kind, name, shape, units FROM signals ORDER BY id")
        self._signals = {
            (kind, name): Signal(number, kind, name, tuple(_parsed(shape)), units)
            for number, kind, name, shape, units in found
        }
        self._names = {signal.id: signal.name for signal in self._signals.values()}

    # ------------------------------------------------ the run as a whole

    @property
    def configuration(self) -> dict[str, Any]:
        """Settings and seeds."""
        return _parsed(self.meta.get("configuration", "{}"))

    @property
    def steps(self) -> dict[str, np.ndarray]:
        """Arrays over the steps: step, epoch, batch, time, seconds, loss, memory, and rates (steps, groups).

        Whole numbers that were not recorded are -1, other numbers NaN.
        """
        names = ("step", "epoch", "batch", "memory", "time", "seconds", "loss")
        rows = self._rows(f"SELECT {', '.join(names)}, rates FROM steps ORDER BY step")
        columns: list[Any] = list(zip(*rows)) if rows else [()] * 8
        result = {}
        for name, column in zip(names, columns):
            whole = name in names[:4]
            empty = -1 if whole else np.nan
            result[name] = np.array(
                [empty if v is None else v for v in column], np.int64 if whole else np.float64
            )
        rates = [_parsed(text) or [] for text in columns[7]]
        result["rates"] = np.full((len(rates), max(map(len, rates), default=0)), np.nan)
        for row, own in zip(result["rates"], rates):
            row[: len(own)] = own
        return result

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """For each epoch: epoch, step (its last), and its metrics by name; None for NaN and infinity."""
        rows = self._rows("SELECT epoch, step, numbers FROM epochs ORDER BY epoch")
        return [{**_parsed(numbers), "epoch": epoch, "step": step} for epoch, step, numbers in rows]

    def signals(self, kind: str | None = None, pattern: str = "*") -> list[Signal]:
        """Signals in the order in which they appeared; `pattern` is of their names, such as "layer1.*"."""
        return [
            signal
            for signal in self._signals.values()
            if kind in (None, signal.kind) and fnmatchcase(signal.name, pattern)
        ]

    # ------------------------------------------------ numbers over steps

    def series(self, name: str, statistic: str, kind: str = "weight", detail: str | None = None) -> Series:
        """One quantity of one signal: steps (S,) and values (S,).

        statistic: a column of the statistics, such as "norm"; "update_ratio", the norm of a parameter's change over the
                   norm of its weight; or "dead", the share of a layer's units that gave nothing but zeros.
        kind:      of the signal; "update_ratio" and "dead" imply it.
        detail:    "statistics", "sampled" or "full"; by default the first of them that has it.
        """
        if statistic == UPDATE_RATIO:
            weight, change = self.signal(name, "weight"), self.signal(name, "change")
            return quantities.ratio(
                quantities.statistic(self.matrices, change, "norm", detail),
                quantities.statistic(self.matrices, weight, "norm", detail),
            )
        if statistic == DEAD:
            return quantities.dead_share(self.matrices, self.signal(name, "output"))
        return quantities.statistic(self.matrices, self.signal(name, kind), statistic, detail)

    def heatmap(
        self, statistic: str, kind: str = "weight", detail: str | None = None
    ) -> tuple[np.ndarray, list[str], np.ndarray]:
        """One quantity of all signals of a kind: steps (S,), names, values (names, S), NaN where one has none.

        Arguments as for `series`; signals that do not have it are left out.
        """
        implied = {UPDATE_RATIO: "change", DEAD: "output"}.get(statistic, kind)
        names, found, problem = [], [], None
        for signal in self.signals(implied):
            try:
                found.append(self.series(signal.name, statistic, implied, detail))
                names.append(signal.name)
            except ArgumentError as error:
                problem = problem or error
        if not found:
            raise problem or ArgumentError(f"no signals of kind {implied!r} were recorded; {self._kinds()}")
        steps, values = quantities.on_steps(found)
        return steps, names, values

    def histograms(self, name: str, kind: str = "weight") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Histograms of a signal: steps (S,), edges (S, bins + 1), counts (S, bins)."""
        return quantities.histograms(self.matrices, self.signal(name, kind))

    def units(self, name: str, kind: str = "gradient", what: str = "unit_norms") -> Series:
        """A number for each unit of a signal: steps (S,), values (S, units).

        what: "unit_norms", "dead" (the share of zeros in the batch), or "influence.<method>".
        """
        return quantities.units(self.matrices, self.signal(name, kind), what)

    def samples(self, name: str, kind: str = "weight") -> Series:
        """Elements of a signal, always at the same places: steps (S,), values (S, samples)."""
        return quantities.units(self.matrices, self.signal(name, kind), "samples")

    # ------------------------------------------------ influence and notes

    def influence(self, method: str = "taylor") -> list[Influence]:
        """The units that mattered most, in order of steps and ranks."""
        query = "SELECT step, signal, unit, rank, score FROM influence WHERE method = ? ORDER BY step, rank"
        return self._influences(query, method)

    def top_units(self, step: int | None = None, n: int = 16, method: str = "taylor") -> list[Influence]:
        """The `n` most influential units at the latest step up to `step` at which they were ranked."""
        bound = np.iinfo(np.int64).max if step is None else int(step)
        latest = self._rows("SELECT max(step) FROM influence WHERE method = ? AND step <= ?", method, bound)
        if latest[0][0] is None:
            there = [row[0] for row in self._rows("SELECT DISTINCT method FROM influence")]
            raise ArgumentError(
                f"no influence by {method!r} was recorded up to step {step}; there is {there}"
            )
        query = (
            "SELECT step, signal, unit, rank, score FROM influence "
            "WHERE method = ? AND step = ? ORDER BY rank LIMIT ?"
        )
        return self._influences(query, method, latest[0][0], int(n))

    def agreement(self) -> list[Agreement]:
        """How well estimates of influence agreed with removing units, in order of steps."""
        rows = self._rows(
            "SELECT step, method, correlation, units, truth FROM agreement ORDER BY step, method"
        )
        return [
            Agreement(step, method, np.nan if correlation is None else correlation, count, _parsed(truth))
            for step, method, correlation, count, truth in rows
        ]

    def notes(self) -> list[Note]:
        """What rules noticed, in order of steps."""
        query = "SELECT step, time, severity, rule, signal, unit, text FROM notes ORDER BY step, id"
        return [Note(*row) for row in self._rows(query)]

    # ------------------------------------------------ snapshots

    def snapshot_steps(self, kind: str = "weights") -> np.ndarray:
        """The steps at which there is a snapshot of a kind: "weights", "probe" or "graph"."""
        rows = self._rows("SELECT step FROM snapshots WHERE kind = ? ORDER BY step", kind)
        return np.array([row[0] for row in rows], np.int64)

    def tensor(self, name: str, step: int | None = None) -> np.ndarray:
        """A parameter or buffer as it was in the latest snapshot of the weights up to `step`; read-only."""
        arrays = self._arrays("weights", step)
        if name not in arrays:
            raise ArgumentError(f"the weights have no tensor {name!r}{_hint(name, arrays)}")
        return arrays[name]

    def probe(self, step: int | None = None) -> dict[str, np.ndarray]:
        """The outputs on the probe set by layer, of the latest snapshot up to `step`; read-only."""
        return dict(self._arrays("probe", step))

    def graph(self, step: int | None = None) -> dict[str, Any]:
        """The latest graph up to `step`."""
        return self._files.graph(self._hash("graph", step))

    def sample_ids(self, step: int) -> np.ndarray:
        """Which samples of the data set the step's batch held (int64)."""
        rows = self._rows("SELECT samples FROM steps WHERE step = ?", int(step))
        if not rows or rows[0][0] is None:
            raise ArgumentError(f"the samples of step {step} were not recorded")
        return np.frombuffer(rows[0][0], "<i8").astype(np.int64)

    # ------------------------------------------------ parts

    def query(self, sql: str, *parameters: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The columns' names and the rows of any SELECT; `minigrad.record.schema` explains the tables."""
        with self._database.connection() as connection:
            found = connection.execute(sql, parameters)
            return [column[0] for column in found.description or ()], found.fetchall()

    def signal(self, name: str, kind: str) -> Signal:
        """The signal of a name and kind. Raises ArgumentError if there is none."""
        found = self._signals.get((kind, name))
        if found is None:
            names = [signal.name for signal in self.signals(kind)]
            there = _hint(name, names) if names else f"; {self._kinds()}"
            raise ArgumentError(f"no {kind} of {name!r} was recorded{there}")
        return found

    def _kinds(self) -> str:
        return f"recorded kinds are {', '.join(dict.fromkeys(kind for kind, _ in self._signals)) or 'none'}"

    def _rows(self, query: str, *parameters: Any) -> list[Any]:
        return self.query(query, *parameters)[1]

    def _influences(self, query: str, *parameters: Any) -> list[Influence]:
        return [
            Influence(step, self._names.get(signal, "?"), unit, rank, score)
            for step, signal, unit, rank, score in self._rows(query, *parameters)
        ]

    def _hash(self, kind: str, step: int | None) -> str:
        bound = np.iinfo(np.int64).max if step is None else int(step)
        query = "SELECT hash FROM snapshots WHERE kind = ? AND step <= ? ORDER BY step DESC LIMIT 1"
        rows = self._rows(query, kind, bound)
        if not rows:
            steps = self.snapshot_steps(kind)
            there = f"the first is at step {steps[0]}" if len(steps) else "there is none"
            raise ArgumentError(f"no snapshot of kind {kind!r} up to step {step}: {there}")
        return rows[0][0]

    def _arrays(self, kind: str, step: int | None) -> dict[str, np.ndarray]:
        digest = self._hash(kind, step)
        if self._snapshot is None or self._snapshot[0] != digest:
            self._snapshot = digest, self._files.arrays(kind, digest)
        return self._snapshot[1]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError) as error:
        raise DataError(f"the record is damaged: {error}") from error


def _hint(name: str, names: Iterable[str]) -> str:
    known = list(names)
    close = get_close_matches(name, known, n=3)
    return f"; did you mean {', '.join(close)}?" if close else f"; there are {', '.join(known[:8])}, ..."
