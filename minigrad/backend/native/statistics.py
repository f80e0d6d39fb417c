"""Statistics of float32 arrays, and of all parameters of a model in one launch; the loops are in `statistics_loops.py`.

The twin of `minigrad/backend/statistics.py`, whose numbers it gives to float32 accuracy, and whose samples exactly. The
bits do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.backend import statistics as plain
from minigrad.backend.native import statistics_loops as loops
from minigrad.backend.native.layout import FLOAT
from minigrad.backend.native.team import team
from minigrad.backend.statistics import NUMBERS, ROWS, check_change, check_positions

_ALONE = 1 << 17  # numbers to look at: below this, the caller's thread is done before another has started


def statistics(array: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (NUMBERS,) and sample of a float32 array; one with gaps in memory is copied first."""
    flat = array.ravel(order="K")
    size, count = flat.size, positions.size
    check_positions(positions, size)
    positions = np.ascontiguousarray(positions)
    sample = np.empty(count, FLOAT)
    end = -(-size // loops.STEP)
    job = [end, size, id(flat), 0, 0, id(positions), count, id(sample)]  # the names hold the arrays meanwhile
    return _run(job, 1, end, size), sample


def statistics_of_all(arrays: Sequence[np.ndarray]) -> np.ndarray | None:
    """Numbers (len(arrays), NUMBERS) of float32 arrays in C order, in one launch; None for others."""
    jobs: list[int] = []
    end = total = 0
    none = np.empty(0, np.int64)
    sample = np.empty(0, FLOAT)
    for a in arrays:
        if not _plain(a):
            return None
        end += -(-a.size // loops.STEP)
        total += a.size
        jobs += end, a.size, id(a), 0, 0, id(none), 0, id(sample)
    return _run(jobs, 1, end, total).reshape(-1, NUMBERS)


def change_statistics(
    weights: Sequence[np.ndarray],
    gradients: Sequence[np.ndarray | None],
    previous: Sequence[np.ndarray],
    positions: Sequence[np.ndarray],
) -> tuple[np.ndarray, list[Any]]:
    """Numbers (len(weights), 3, NUMBERS) and samples (3, len(positions)); see the plain definition.

    What is not float32, or does not lie in C order without gaps, is left to it.
    """
    jobs: list[int] = []
    taken: list[int] = []
    left: list[int] = []
    samples: list[Any] = []
    held = []
    end = total = 0
    for i, (w, g, before, places) in enumerate(zip(weights, gradients, previous, positions, strict=True)):
        check_change(w, g, before, places)  # nothing is written before all are seen
        size, count = w.size, places.size
        if not (_plain(w) and _plain(before) and before.flags.writeable and (g is None or _plain(g))):
            left.append(i)
            samples.append(None)
            continue
        places = np.ascontiguousarray(places)
        sample = np.empty((len(ROWS), count), FLOAT)
        held.append(places)
        samples.append(sample)
        taken.append(i)
        end += -(-size // loops.STEP)
        total += size
        jobs += end, size, id(w), 0 if g is None else id(g), id(before), id(places), count, id(sample)
    numbers = _run(jobs, len(ROWS), end, len(ROWS) * total).reshape(-1, len(ROWS), NUMBERS)
    for k, i in enumerate(taken):
        if gradients[i] is None:
            numbers[k, 1] = samples[i][1] = np.nan
    if not left:
        return numbers, samples
    whole = np.empty((len(samples), len(ROWS), NUMBERS))
    whole[taken] = numbers
    whole[left], others = plain.change_statistics(
        np, *([column[i] for i in left] for column in (weights, gradients, previous, positions))
    )
    for i, sample in zip(left, others):
        samples[i] = sample
    return whole, samples


def _plain(a: Any) -> bool:
    return type(a) is np.ndarray and a.dtype == FLOAT and a.flags.c_contiguous


def _run(jobs: list[int], rows: int, blocks: int, work: int) -> np.ndarray:
    """The numbers of all jobs, flat, by job, row and field."""
    table = np.array(jobs, np.int64)
    parts = np.empty(blocks * (loops.STRETCHES * rows * loops.PARTS))
    numbers = np.empty(len(jobs) // loops.COLUMNS * rows * NUMBERS)
    if work < _ALONE:
        loops.gather(np.zeros(1, np.int64), blocks, table, rows, parts)
    else:
        team.run(loops.gather, blocks, table, rows, parts)
    loops.finish(table, rows, parts, numbers)
    return numbers
