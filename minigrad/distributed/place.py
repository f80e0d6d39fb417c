"""Which process this is, by what its launcher has put into the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from minigrad.errors import ArgumentError

# (launcher, rank, number of ranks, rank on this machine), in the order in which they are believed: within a SLURM
# job, mpiexec numbers the processes that it starts itself.
_VARIABLES = (
    ("mpiexec of MPICH", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
    ("mpiexec of Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
)


class Place(NamedTuple):
    """The number of this process, of how many, its number on this machine, and whose word that is."""

    rank: int
    size: int
    local_rank: int
    launcher: str


def find_place(environment: Mapping[str, str] = os.environ) -> Place:
    """What the environment says; a process that nobody has numbered is alone.

    Raises ArgumentError for numbers that cannot be.

    >>> find_place({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"})
    Place(rank=3, size=8, local_rank=1, launcher='torchrun')
    >>> find_place({})
    Place(rank=0, size=1, local_rank=0, launcher='')
    """
    for launcher, *names in _VARIABLES:
        if names[0] in environment and names[1] in environment:
            given = [environment.get(name, "0") for name in names]
            if not all(text.isdecimal() for text in given):
                raise ArgumentError(_wrong(names, given, "these are to be whole numbers"))
            rank, size, local_rank = map(int, given)
            if not (rank < size and local_rank < size):
                raise ArgumentError(
                    _wrong(names, given, "ranks count from 0 to one below the number of ranks")
                )
            return Place(rank, size, local_rank, launcher)
    return Place(0, 1, 0, "")


def _wrong(names: list[str], given: list[str], why: str) -> str:
    return f"the environment has {', '.join(f'{n}={g}' for n, g in zip(names, given))}: {why}"
