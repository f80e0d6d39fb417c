"""Recording a run: calls that return at once, and threads behind them that write."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time as clock
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DataError
from minigrad.record.coding import PIECE, stored_dtype
from minigrad.record.jobs import DatabaseJob, SnapshotJob, insert, insert_influence, insert_matrix, reason
from minigrad.record.json_text import json_text
from minigrad.record.resuming import Known, cut_back
from minigrad.record.schema import DATABASE, SEVERITIES
from minigrad.record.snapshots import SnapshotStore, copied
from minigrad.record.worker import Worker

_CAPACITY = 16 << 20  # bytes of rows that may wait: less than half a second's work
_SNAPSHOT_CAPACITY = 256 << 20  # bytes of snapshots that may wait
_ROW = 200  # about what a small row takes in memory


class RunWriter:
    """Records a run into a folder: a database `record.sqlite`, and files of snapshots and graphs beside it.

        with RunWriter("runs/a", {"lr": 0.1}) as writer:
            weight = writer.signal("weight", "conv1.weight", (16, 3, 3, 3), units=16)
            layout = writer.layout("statistics", "float32", FIELDS, [(weight, 1)])
            ...
            writer.matrix(step, layout, numbers)    # (1, 11)
            writer.step(step, loss=loss)

    folder:        is made if need be. It must not hold a recorded run; `RunWriter.resume` goes on with one.
    configuration: settings and seeds, in JSON's types.
    model_text:    the model as text, for people.

    Calls copy what they are given and return; two threads write it. What is more than a second old survives if the
    process is killed. A full disk, or any other error of the system, stops the recording and not the training: one
    warning tells, `failed` holds the text, and later calls do nothing. `close` (which the end of a `with` block, of the
    object and of the program call too) waits until everything is on the disk, and leaves the database a single file.

    A step's numbers may come in any order; the same step given twice keeps what came last.

    Raises ArgumentError for arguments that do not fit, DataError if the folder cannot be recorded into.
    """

    def __init__(
        self, folder: str | os.PathLike[str], configuration: Mapping[str, Any], model_text: str = ""
    ) -> None:
        meta = {
            "started": _now(),
            "configuration": json_text(dict(configuration), "a configuration"),
            "model": str(model_text),
            "versions": json.dumps(_versions()),
            "resumed": "[]",
        }
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot record into {path}: {error.strerror or error}") from error

        def begin(connection: sqlite3.Connection) -> None:
            for item in meta.items():
                insert(connection, "meta", item)

        self._start(path, True, begin, Known())

    @classmethod
    def resume(cls, folder: str | os.PathLike[str], step: int) -> RunWriter:
        """Go on with a recorded run from `step`, where training goes on: everything after it is deleted first.

        Signals and layouts keep their numbers. Raises DataError if the folder holds no recorded run.
        """
        path, step = Path(folder), _whole("step", step)
        if not (path / DATABASE).is_file():
            raise DataError(f"{path} holds no recorded run to go on with")
        writer, known = cls.__new__(cls), Known()
        writer._start(path, False, lambda connection: cut_back(connection, step, known, _now()), known)
        SnapshotStore(path).keep_only(known.files)  # now that no row names the others any more
        return writer

    def _start(
        self, folder: Path, new: bool, begin: Callable[[sqlite3.Connection], None], known: Known
    ) -> None:
        self.folder, self._known, self._told = folder, known, False
        database = Worker("minigrad-record", lambda: DatabaseJob(folder, new, begin), _CAPACITY)

        def named(step: int, kind: str, digest: str) -> None:
            database.put((insert, "snapshots", (step, kind, digest)), _ROW)

        store = SnapshotStore(folder)
        self._database = database
        self._files = Worker("minigrad-snapshots", lambda: SnapshotJob(store, named), _SNAPSHOT_CAPACITY)
        self._end = weakref.finalize(self, _finish, self._database, self._files)

    # ------------------------------------------------ what is recorded

    def signal(self, kind: str, name: str, shape: Sequence[int], units: int) -> int:
        """The number of a signal, which is made when it is first asked for.

        kind, name: such as "weight", "conv1.weight".
        shape:      as it is when first seen (an output's first dimension may change later).
        units:      how many units it has.

        Raises ArgumentError if the signal is known with another number of units.
        """
        units = _whole("units", units)
        found = self._known.signals.get((kind, name))
        if found is not None:
            if found[1] != units:
                raise ArgumentError(f"the signal {kind} {name!r} has {found[1]} units, not {units}")
            return found[0]
        number = len(self._known.signals) + 1
        self._known.signals[kind, name] = (number, units)
        sizes = json.dumps([_whole("shape", size) for size in shape])
        self._put((insert, "signals", (number, str(kind), str(name), sizes, units)))
        return number

    def units_of(self, kind: str, name: str) -> int | None:
        """How many units a signal has; None if there is no such signal yet."""
        found = self._known.signals.get((kind, name))
        return None if found is None else found[1]

    def layout(
        self, name: str, dtype: str | np.dtype, columns: Sequence[str], signals: Iterable[tuple[int, int]]
    ) -> int:
        """The number of a layout of matrices, which is made when it is first asked for.

        columns: names of a row's numbers.
        signals: (number of a signal, how many rows it has), in the order of the rows.
        """
        stored, names = stored_dtype(dtype), [str(column) for column in columns]
        rows = [(int(signal), _whole("rows", count)) for signal, count in signals]
        unknown = {signal for signal, _ in rows} - {number for number, _ in self._known.signals.values()}
        if unknown or not names or len(set(names)) < len(names) or not rows:
            raise ArgumentError(
                f"the layout {name!r} needs columns with different names and rows of known signals; "
                f"columns are {names}, rows {rows!r:.200}, unknown signals {sorted(unknown)}"
            )
        if len(names) * stored.itemsize > PIECE:
            raise ArgumentError(
                f"a row of the layout {name!r} is above {PIECE:,} bytes: give it more rows instead"
            )
        key = (str(name), stored.str, json.dumps(names), json.dumps(rows))
        number = self._known.layouts.get(key)
        if number is None:
            number = self._known.layouts[key] = len(self._known.layouts) + 1
            self._put((insert, "layouts", (number, *key)))
            self._known.shapes[number] = (sum(count for _, count in rows), len(names), stored)
        return number

    def matrix(self, step: int, layout: int, array: np.ndarray) -> None:
        """Record numbers: `array` of the layout's shape (rows, columns), or (rows,) for a single column."""
        try:
            rows, columns, dtype = self._known.shapes[layout]
        except KeyError:
            raise ArgumentError(f"there is no layout {layout!r}") from None
        array = np.asarray(array)
        if array.shape != (rows, columns) and not (columns == 1 and array.shape == (rows,)):
            raise ArgumentError(f"layout {layout} takes ({rows}, {columns}) numbers, not {array.shape}")
        if array.dtype != dtype:
            with np.errstate(over="ignore", invalid="ignore"):  # infinities and NaNs are values
                array = array.astype(dtype)
        data = array.tobytes()
        self._put((insert_matrix, layout, _whole("step", step), data, dtype, columns), len(data) + _ROW)

    def step(
        self,
        step: int,
        *,
        epoch: int | None = None,
        batch: int | None = None,
        time: float | None = None,
        seconds: float | None = None,
        loss: float | None = None,
        rates: Sequence[float] = (),
        memory: int | None = None,
        samples: np.ndarray | Sequence[int] | None = None,
        random: Any = None,
    ) -> None:
        """Record a step of training; `time` is now if it is not given. `minigrad.record.schema` tells the units."""
        step = _whole("step", step)
        drawn = None if samples is None else np.asarray(samples, "<i8").tobytes()
        state = None if random is None else json_text(random, "the state of random streams")
        row = (
            step,
            None if epoch is None else int(epoch),
            None if batch is None else int(batch),
            clock.time() if time is None else float(time),
            None if seconds is None else float(seconds),
            None if loss is None else float(loss),
            json.dumps([float(rate) for rate in rates]),
            None if memory is None else int(memory),
            drawn,
            state,
        )
        self._put((insert, "steps", row), _ROW + len(drawn or b"") + len(state or ""))

    def epoch(self, epoch: int, step: int, numbers: Mapping[str, Any]) -> None:
        """Record an epoch that ended with `step`, and its metrics by name."""
        row = (int(epoch), _whole("step", step), json_text(dict(numbers), "an epoch's numbers"))
        self._put((insert, "epochs", row))

    def influence(self, step: int, method: str, rows: Iterable[tuple[int, int, int, float]]) -> None:
        """Record the most influential units: rows (signal, rank from 1, unit, score), which replace earlier ones."""
        plain = [(int(rank), int(signal), int(unit), float(score)) for signal, rank, unit, score in rows]
        known = {number for number, _ in self._known.signals.values()}
        if unknown := {row[1] for row in plain} - known:
            raise ArgumentError(f"influence of unknown signals: {sorted(unknown)}")
        self._put((insert_influence, _whole("step", step), str(method), plain), _ROW * (1 + len(plain)))

    def agreement(
        self, step: int, method: str, correlation: float | None, units: int, truth: Any = None
    ) -> None:
        """Record how an estimate of influence agrees with what removing `units` units did, which is `truth`."""
        number = None if correlation is None else float(correlation)
        told = json_text(truth, "the truth")
        self._put((insert, "agreement", (_whole("step", step), str(method), number, int(units), told)))

    def note(
        self,
        step: int,
        severity: str,
        rule: str,
        text: str,
        *,
        signal: str | None = None,
        unit: int | None = None,
        time: float | None = None,
    ) -> None:
        """Record what a rule noticed: severity "note", "warning" or "stop"; `signal` is the name it is about."""
        if severity not in SEVERITIES:
            raise ArgumentError(f"severity is one of {', '.join(SEVERITIES)}, not {severity!r}")
        moment = clock.time() if time is None else float(time)
        index = None if unit is None else int(unit)
        self._put(
            (insert, "notes", (None, _whole("step", step), moment, severity, rule, signal, index, str(text)))
        )

    def snapshot(self, step: int, kind: str, content: Mapping[str, Any]) -> None:
        """Record arrays or tensors by name: kind "weights", or "probe". They are copied now and written later.

        The hash that names the file stands in the database once it is there; equal contents are one file.
        """
        if kind == "graph":
            raise ArgumentError("a graph is recorded by RunWriter.graph")
        if self.failed is None:
            arrays, size = copied(content)
            self._put_file((_whole("step", step), str(kind), arrays), size)

    def graph(self, step: int, graph: Mapping[str, Any]) -> None:
        """Record a graph: a dictionary of JSON's types, such as a trace's `as_dict()`."""
        data = json_text(dict(graph), "a graph").encode()
        self._put_file((_whole("step", step), "graph", data), len(data))

    # ------------------------------------------------ the threads behind

    def _put(self, item: tuple[Any, ...], size: int = _ROW) -> None:
        if self._alive():
            self._database.put(item, size)

    def _put_file(self, item: tuple[Any, ...], size: int) -> None:
        if self._alive():
            self._files.put(item, size)

    def _alive(self) -> bool:
        if self._database.error is None and self._files.error is None:
            if not self._end.alive:
                raise ArgumentError(
                    f"the record of {self.folder} is closed; RunWriter.resume goes on with it"
                )
            return True
        if not self._told:
            self._told = True
            warnings.warn(str(self.failed), RuntimeWarning, stacklevel=4)
        return False

    @property
    def failed(self) -> str | None:
        """Why the recording has stopped, or None."""
        error = self._database.error or self._files.error
        if error is None:
            return None
        return (
            f"the recording of {self.folder} has stopped: {reason(error)}. Training goes on; what was recorded "
            "before can be read"
        )

    @property
    def waited(self) -> float:
        """Seconds for which calls waited since the threads could not keep up."""
        return self._database.waited + self._files.waited

    def flush(self) -> None:
        """Wait until everything recorded so far is on its way to the disk: other processes see it now."""
        self._files.flush()
        self._database.flush()
        if self._end.alive:
            self._alive()

    def close(self) -> None:
        """Write all that waits, and leave a single file; a second call does nothing."""
        self._end()
        if self.failed and not self._told:
            self._alive()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _finish(database: Worker, files: Worker) -> None:
    """Not a method: at the end of the program, or of the writer, there may be no writer any more."""
    files.close()
    if files.error is None:
        database.put((insert, "meta", ("finished", _now())), _ROW)
    database.close()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "numpy": np.__version__, "sqlite": sqlite3.sqlite_version}
    with suppress(metadata.PackageNotFoundError):  # a checkout that is not installed
        found["minigrad"] = metadata.version("minigrad")
    return found


def _whole(what: str, value: Any) -> int:
    number = int(value)
    if number < 0 or number != value:
        raise ArgumentError(f"{what} is a whole number from 0, not {value!r}")
    return number
