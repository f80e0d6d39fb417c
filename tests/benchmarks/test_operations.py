"""The operations that are compared do the same: minigrad's calls and PyTorch's return the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from op_calls import make_step, our_call, their_call
from op_cases import CALLS, OPTIMIZERS, cases

ALL = [*cases(tiny=True), *CALLS]


def arrays_of(result) -> list[np.ndarray]:
    """A tensor's numbers, or each of several gradients'."""
    many = result if isinstance(result, (tuple, list)) else [result]
    return [np.asarray(r if isinstance(r, np.ndarray) else r.detach().numpy()) for r in many if r is not None]


@pytest.mark.oracle
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("group", sorted({case.group for case in ALL}))
def test_both_compute_the_same(torch, group, last):
    for case in ALL:
        if case.group != group:
            continue
        mine, theirs = arrays_of(our_call(case)()), arrays_of(their_call(torch, case, last)())
        assert len(mine) == len(theirs) == max(1, len(case.wanted)), case.name
        for array, expected in zip(mine, theirs, strict=True):
            assert array.shape == expected.shape, case.name
            assert np.abs(array - expected).max() <= 2e-5 * max(1.0, np.abs(array).max()), case.name


def test_a_gradient_can_be_computed_again_and_again():
    for case in ALL:
        if case.wanted and case.group in ("conv", "batch_norm", "relu"):
            call = our_call(case)
            first, second = arrays_of(call()), arrays_of(call())
            assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)), case.name
            assert len(first) == len(case.wanted), case.name


def job(case: str | None, **more) -> dict:
    return {"framework": "minigrad", "tiny": True, "threads": 1, "options": {}, "case": case, **more}


@pytest.mark.oracle
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimisers_make_steps(kind):
    make_step(job(kind))()
    make_step(job(kind, framework="torch", options={"channels_last": False}))()


def test_cases_are_chosen_by_name():
    assert make_step(job(None))() is None
    assert make_step(job(CALLS[0].name))().shape == (1,)
    with pytest.raises(KeyError, match="no such case"):
        make_step(job("no such case"))
