"""How many threads compute: one number for the kernels and for NumPy's BLAS.

    MINIGRAD_NUM_THREADS   for both
    OMP_NUM_THREADS        for both, where that is not set; other programs follow it too

Else there is one thread for each core that this process may use. Results of kernels are the same bits at any number of
threads; those of BLAS (fully connected layers, matrix products) may differ in the last ones.
"""

from __future__ import annotations

import os
from typing import Any

from minigrad.backend.native.team import team
from minigrad.errors import ArgumentError
from minigrad.machine import usable_cores

# Whose number the libraries take by themselves, in the order in which they look
_OF_BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")


def set_num_threads(n: int) -> None:
    """Compute with n threads from now on: kernels, and NumPy's BLAS.

    n: an int from 1. More than there are cores is slower.

    Operations that are running keep the number that they began with. Raises ArgumentError for another n.

    >>> import minigrad as mg
    >>> before = mg.get_num_threads()
    >>> mg.set_num_threads(2)
    >>> mg.get_num_threads()
    2
    >>> mg.set_num_threads(before)
    """
    if not hasattr(n, "__index__") or isinstance(n, bool) or n.__index__() < 1:
        raise ArgumentError(f"set_num_threads: n must be an int from 1, not {n!r}")
    team.size = n.__index__()
    _limit_blas(team.size)


def get_num_threads() -> int:
    """How many threads compute: as set by `set_num_threads`, or else by the environment, or else one for each core.

    Raises ArgumentError for a number in the environment that is none.
    """
    return team.size


def follow_environment() -> None:
    """Have BLAS follow MINIGRAD_NUM_THREADS, which is ours: it knows only its own variables."""
    wanted = team.size
    if os.environ.get("MINIGRAD_NUM_THREADS") and _blas_by_itself() != str(wanted):
        _limit_blas(wanted)


def blas_libraries() -> list[dict[str, Any]]:
    """The BLAS libraries that are loaded, with their number of threads, as `threadpoolctl` tells."""
    from threadpoolctl import ThreadpoolController  # some milliseconds: not before it is wanted

    return ThreadpoolController().select(user_api="blas").info()


def _blas_by_itself() -> str:
    return next((os.environ[name] for name in _OF_BLAS if os.environ.get(name)), str(usable_cores()))


def _limit_blas(n: int) -> None:
    from threadpoolctl import ThreadpoolController

    ThreadpoolController().limit(limits=n, user_api="blas")
