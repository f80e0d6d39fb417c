"""How many zeros each unit put out: one pass over float32 rows with the units innermost in memory.

Rows are cut into blocks, each of which has counts of its own; they are added in the end, and whole numbers are exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend.native.compiling import kernel
from minigrad.backend.native.instructions import next_block
from minigrad.backend.native.layout import FLOAT
from minigrad.backend.native.team import team

_BLOCK = 1 << 16  # numbers in a block, at least
_WIDE = 64  # numbers that the inner loop runs over, at least


@kernel
def _count(counter, blocks, x, width, rows_in_block, counts):
    """counts[block, j] = number of rows of the block with a zero at j < width; x: flat."""
    block = next_block(counter)
    while block < blocks:
        own = counts[block * width : (block + 1) * width]
        own[:] = 0
        first = block * rows_in_block
        for row in range(first, min(first + rows_in_block, x.size // width)):
            values = x[row * width : (row + 1) * width]
            for j in range(width):
                own[j] += np.int32(values[j] == 0)
        block = next_block(counter)


def zeros_by_unit(y: Any, unit_dim: int) -> np.ndarray | None:
    """Counts (units,), int64; None for what does not lie so in memory."""
    order = [d for d in range(y.ndim) if d != unit_dim] + [unit_dim]
    rows = y.transpose(order)
    if rows.dtype != FLOAT or not rows.flags.c_contiguous or not y.size:
        return None
    units = y.shape[unit_dim]
    together = 1  # rows to be treated as one, where there are few units
    count = y.size // units
    while units * together < _WIDE and count % (2 * together) == 0:
        together *= 2
    width = units * together
    rows_in_block = max(_BLOCK // width, 1)
    blocks = -(-(y.size // width) // rows_in_block)
    counts = np.empty(blocks * width, np.int32)
    team.run(_count, blocks, rows.reshape(-1), width, rows_in_block, counts)
    return counts.reshape(-1, units).sum(axis=0, dtype=np.int64)
