"""What a writer knows of the run it writes, and how a run is cut back to a step from which training goes on."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field

import numpy as np

from minigrad.errors import DataError
from minigrad.record.schema import STEPWISE


@dataclass
class Known:
    """Numbers given so far.

    signals: (number, units) by (kind, name).
    layouts: number by (name, dtype, columns, signals), as they stand in the table.
    shapes:  (rows, columns, dtype) by layout number.
    files:   (kind, hash) of the snapshots that rows name, when the run was opened.
    """

    signals: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    layouts: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    shapes: dict[int, tuple[int, int, np.dtype]] = field(default_factory=dict)
    files: set[tuple[str, str]] = field(default_factory=set)


def cut_back(connection: sqlite3.Connection, step: int, known: Known, moment: str) -> None:
    """Delete everything after `step`, note that the run was resumed, and fill `known`; in the caller's transaction."""
    for table in STEPWISE:
        connection.execute(f"DELETE FROM {table} WHERE step > ?", (step,))
    connection.execute("DELETE FROM meta WHERE key = 'finished'")
    (text,) = connection.execute("SELECT value FROM meta WHERE key = 'resumed'").fetchone() or ("[]",)
    try:
        resumed = [*json.loads(text), {"step": step, "time": moment}]
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('resumed', ?)", (json.dumps(resumed),))
        for number, kind, name, units in connection.execute("SELECT id, kind, name, units FROM signals"):
            known.signals[kind, name] = (number, units)
        for number, *key in connection.execute("SELECT id, name, dtype, columns, signals FROM layouts"):
            name, dtype, columns, signals = key
            known.layouts[name, dtype, columns, signals] = number
            rows = sum(count for _, count in json.loads(signals))
            known.shapes[number] = (rows, len(json.loads(columns)), np.dtype(dtype))
    except (TypeError, ValueError) as error:
        raise DataError(f"the record is damaged: {error}") from error
    known.files.update(connection.execute("SELECT kind, hash FROM snapshots"))
