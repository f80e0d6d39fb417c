"""Several ranks under mpiexec: what they compute, and how they end."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.distributed.launch import check, needs_mpi, run_ranks

pytestmark = needs_mpi


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("job", ["communicate", "whole_batch"])
def test_ranks_compute_what_one_process_does(job, ranks):
    check(job, ranks=ranks)


@pytest.mark.parametrize("job", ["float32_kernels", "accumulate", "trainer", "stopped", "refused"])
def test_two_ranks(job):
    check(job)


@pytest.mark.parametrize(
    "how, code, words",
    [
        ("raise", 1, "ValueError: the reason"),
        ("thread", 1, "ZeroDivisionError"),
        ("kill", 9, "Killed"),
        ("exit", None, "the reason"),
        ("end", None, "waits in all_reduce for rank 1, which has ended"),
        ("busy", 1, "ValueError: the reason"),
    ],
)
def test_a_rank_that_ends_early_ends_all_within_seconds(how, code, words):
    ended = run_ranks(3, "-m", "tests.distributed.ranks", "fail", how)
    assert ended.code == code if code else ended.code != 0
    assert words in ended.error + ended.out
    assert ended.seconds < 10


def test_a_rank_that_is_stuck_is_waited_for_no_longer_than_said():
    ended = run_ranks(2, "-m", "tests.distributed.ranks", "fail", "stuck", environment={"TEST_TIMEOUT": "1"})
    assert ended.code
    assert "does not make the same calls" in ended.error
    assert ended.seconds < 10


def test_another_launcher_is_found_out():
    """The numbers of a torchrun, and an MPI that knows of one process."""
    numbers = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    script = "from minigrad import distributed; distributed.init()"
    ended = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **numbers}, capture_output=True, text=True
    )
    assert ended.returncode
    assert "torchrun says that this is rank 0 of 2, MPI says rank 0 of 1" in ended.stderr
