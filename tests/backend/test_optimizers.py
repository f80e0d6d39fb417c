"""The update of all parameters at once, beside the plain update of each."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.native import optimizers as kernels
from minigrad.backend.native.optimizer_loops import STEP
from minigrad.backend.native.team import team
from tests.optim.cases import OPTIMIZERS, ident

FUSED = [(name, options) for name, options in OPTIMIZERS if name in ("SGD", "Adam", "AdamW")]
SHAPES = [(), (1,), (7, 3), (2, 3, 3, 3), (STEP,), (STEP + 1,), (3, STEP), (0, 4)]
UPDATES = {"sgd": kernels.sgd, "adam": kernels.adam}


@pytest.fixture
def fused(monkeypatch):
    """Switches between the kernels and the plain updates."""
    backend = mg.backend.get_backend("cpu")
    return lambda on: monkeypatch.setattr(backend, "fused_updates", dict(UPDATES) if on else {})


def start(shapes=SHAPES, seed=0):
    rng = np.random.default_rng(seed)
    return [mg.nn.Parameter(mg.tensor(rng.standard_normal(s, dtype=np.float32))) for s in shapes]


def train(params, optimizer, steps, seed=1):
    for step in steps:
        rng = np.random.default_rng((seed, step))
        for p in params:
            p.grad = mg.tensor(rng.standard_normal(p.shape, dtype=np.float32))
        optimizer.step()


def remembered(optimizer, params):
    return [(name, value) for p in params for name, value in optimizer.state.get(p, {}).items()]


@pytest.mark.parametrize(("name", "options"), FUSED, ids=ident)
def test_fifty_steps_equal_the_plain_update(fused, name, options):
    results = []
    for on in (True, False):
        fused(on)
        params = start()
        optimizer = getattr(mg.optim, name)(params, **options)
        train(params, optimizer, range(50))
        results.append((params, remembered(optimizer, params)))
    (ours, our_state), (plain, plain_state) = results
    for a, b in zip(ours, plain, strict=True):
        scale = np.abs(b.numpy()).max(initial=0)
        assert np.abs(a.numpy() - b.numpy()).max(initial=0) <= 2e-6 * scale + 1e-7
    assert [n for n, _ in our_state] == [n for n, _ in plain_state]
    for (key, a), (_, b) in zip(our_state, plain_state, strict=True):
        assert np.abs(a - b).max(initial=0) <= 1e-6 * np.abs(b).max(initial=0), key


@pytest.mark.parametrize(("name", "options"), FUSED, ids=ident)
def test_resumed_run_and_any_number_of_threads_give_the_same_bits(fused, name, options):
    fused(True)
    size, seen = team.size, []
    try:
        for team.size, resumed in ((1, False), (2, False), (3, True)):
            params = start()
            optimizer = getattr(mg.optim, name)(params, **options)
            train(params, optimizer, range(4))
            if resumed:
                weights, state = [p.numpy().copy() for p in params], optimizer.state_dict()
                params = [mg.nn.Parameter(mg.tensor(w)) for w in weights]
                optimizer = getattr(mg.optim, name)(params, **options)
                optimizer.load_state_dict(state)
            train(params, optimizer, range(4, 8))
            seen.append(b"".join(p.numpy().tobytes() for p in params))
    finally:
        team.size = size
    assert seen[0] == seen[1] == seen[2]


def test_what_the_kernels_leave_alone_is_updated_plainly(fused, rng):
    """Other dtypes, gaps in memory, gradients in another layout: all arrive, in one optimiser."""
    results = []
    for on in (True, False):
        fused(on)
        x = np.random.default_rng(5).standard_normal((6, 8))
        gapped = mg.tensor(x.astype(np.float32)).T.detach().requires_grad_()
        params = [
            mg.nn.Parameter(mg.tensor(x, dtype=mg.float64)), gapped, mg.nn.Parameter(mg.tensor(x, dtype=mg.float16)),
            mg.nn.Parameter(mg.tensor(x, dtype=mg.float32)), mg.nn.Parameter(mg.tensor(x, dtype=mg.float32)),
        ]  # fmt: skip
        optimizer = mg.optim.SGD(params, lr=0.1, momentum=0.9)
        for _ in range(3):
            for p in params[:4]:
                p.grad = mg.tensor(x.reshape(p.shape), dtype=p.dtype)
            params[3].grad = mg.tensor(np.ascontiguousarray(x.T), dtype=mg.float32).T
            optimizer.step()
        assert params[4] not in optimizer.state
        assert all(state for state in optimizer.state.values())
        results.append(params)
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.numpy().astype(float), b.numpy().astype(float), rtol=1e-6, atol=1e-7)


def test_writes_are_counted_and_gradients_left_alone(fused):
    fused(True)
    (w,) = params = start([(4, 5)])
    loss = (w * w).sum()
    before = [mg.storage.storage_of(w).version]
    train(params, mg.optim.AdamW(params), range(1))
    gradient = w.grad.numpy().copy()
    train(params, mg.optim.SGD(params), range(0))
    mg.optim.SGD(params, lr=0.5, weight_decay=0.1, maximize=True).step()
    assert np.array_equal(w.grad.numpy(), gradient)
    assert mg.storage.storage_of(w).version == before[0] + 2
    with pytest.raises(mg.errors.MinigradError, match="changed in place since"):
        loss.backward()


def test_a_subclass_with_an_update_of_its_own_has_no_kernel(fused):
    fused(True)

    class Still(mg.optim.SGD):
        def _update(self, xp, array, gradient, state, group):
            array += 1

    params = start([(3, 2)])
    before = params[0].numpy().copy()
    train(params, Still(params, lr=0.1), range(1))
    np.testing.assert_array_equal(params[0].numpy(), before + 1)


def test_infinities_and_nan_as_in_the_plain_update(fused):
    results = []
    for on in (True, False):
        fused(on)
        params = start([(40,)])
        optimizer = mg.optim.Adam(params, lr=0.1, amsgrad=True)
        g = np.zeros(40, np.float32)
        g[:4] = [np.inf, -np.inf, np.nan, 1e30]
        params[0].array[5:7] = [np.inf, np.nan]
        for _ in range(2):
            params[0].grad = mg.tensor(g)
            optimizer.step()
            g[:4] = 1
        results.append((params[0].numpy(), optimizer.state[params[0]]["max_exp_avg_sq"]))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
