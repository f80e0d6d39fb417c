"""Adding up partial sums, in their order, so that the bits do not depend on who made which."""

from __future__ import annotations

import numpy as np

from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.instructions import next_block
from minigrad.backend.native.team import alone, team

_BLOCK = 1 << 12
_WORTH_SHARING = 1 << 17  # numbers: fewer are added before another thread has started


@inlined
def first_of_part(part, parts, count):
    """Where a part of `count` things begins: parts grow smaller, so that threads finish at about the same time."""
    whole = parts * (parts + 1)
    return count - count * ((parts - part) * (parts - part + 1)) // whole


@kernel
def _add(counter, blocks, sums, parts, length):
    block = next_block(counter)
    while block < blocks:
        start, end = block * _BLOCK, min((block + 1) * _BLOCK, length)
        total = sums[start:end]
        for part in range(1, parts):
            more = sums[part * length + start : part * length + end]
            for i in range(end - start):
                total[i] += more[i]
        block = next_block(counter)


def add_parts(sums: np.ndarray, parts: int) -> np.ndarray:
    """The sum of `parts` arrays that lie one behind the other in the flat `sums`; it takes the first one's place."""
    length = sums.size // parts
    run = team.run if sums.size > _WORTH_SHARING else alone
    run(_add, -(-length // _BLOCK), sums, parts, length)
    return sums[:length]
