"""Optimisers follow PyTorch's numbers step by step, whatever the size, layout and type of a parameter."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, ShapeError
from minigrad.optim import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop, blocks
from tests.optim.cases import OPTIMIZERS, ident

DISTINCT = list(dict(OPTIMIZERS).items())  # one set of options for each optimiser, the last


@pytest.fixture
def double(torch):
    """PyTorch with float64 as its default: NAdam keeps a product in the default type."""
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(torch.float32)


def _steps(make, library, starts, targets):
    """Parameters after each step of minimising 0.02 sum (w - target)^4 in one library."""
    weights = [library.tensor(start, requires_grad=True) for start in starts]
    optimizer = make(weights)
    seen = []
    for target in targets:
        optimizer.zero_grad()
        loss = sum(
            (((w - library.tensor(t)) ** 4).sum() * 0.02) for w, t in zip(weights, target, strict=True)
        )
        loss.backward()
        optimizer.step()
        seen.append(np.concatenate([np.array(w.detach().numpy()).ravel() for w in weights]))
    return np.array(seen)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=ident)
def test_ten_steps_follow_pytorch(double, rng, name, options):
    starts = [rng.standard_normal((3, 4)), rng.standard_normal(())]
    targets = [[rng.standard_normal(s.shape) for s in starts] for _ in range(10)]
    ours = _steps(lambda p: getattr(mg.optim, name)(p, **options), mg, starts, targets)
    theirs = _steps(lambda p: getattr(double.optim, name)(p, **options), double, starts, targets)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)
    assert np.abs(ours[-1] - ours[0]).max() > 1e-3


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=ident)
def test_float32_follows_pytorch(torch, rng, name, options):
    starts = [rng.standard_normal((3, 4)).astype(np.float32)]
    targets = [[rng.standard_normal(s.shape).astype(np.float32) for s in starts] for _ in range(10)]
    ours = _steps(lambda p: getattr(mg.optim, name)(p, **options), mg, starts, targets)
    theirs = _steps(lambda p: getattr(torch.optim, name)(p, **options), torch, starts, targets)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"])
def test_arguments_and_defaults_are_pytorchs(torch, name):
    theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
    ours = getattr(mg.optim, name)([mg.zeros(1, requires_grad=True)]).defaults
    assert ours == {name: value for name, value in theirs.items() if name in ours}
    assert set(theirs) - set(ours) == {"foreach", "fused", "capturable", "differentiable"} & set(theirs)


def test_groups_have_options_of_their_own(torch, rng):
    starts, targets = [rng.standard_normal(3), rng.standard_normal(2)], [[np.zeros(3), np.zeros(2)]] * 10

    def make(library):
        return lambda w: library.optim.Adam(
            [{"params": [w[0]], "lr": 0.1, "betas": (0.5, 0.9)}, {"params": w[1], "weight_decay": 0.3}],
            lr=0.02,
        )

    ours, theirs = _steps(make(mg), mg, starts, targets), _steps(make(torch), torch, starts, targets)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


def test_a_parameter_without_gradient_stays():
    used, unused = mg.ones(2, requires_grad=True), mg.ones(2, requires_grad=True)
    optimizer = Adam([used, unused], lr=0.1, weight_decay=1)
    used.sum().backward()
    optimizer.step()
    assert unused.tolist() == [1, 1]
    assert list(optimizer.state) == [used]


def test_momentum_may_be_turned_on_by_a_schedule(torch, rng):
    """What is remembered only under some options begins when the option does."""
    gradients = rng.standard_normal((6, 3))
    results = []
    for library in (mg, torch):
        w = library.tensor(np.zeros(3), requires_grad=True)
        optimizer = library.optim.SGD([w], lr=0.1)
        for step, gradient in enumerate(gradients):
            optimizer.param_groups[0]["momentum"] = 0.9 if step >= 2 else 0.0
            w.grad = library.tensor(gradient)
            optimizer.step()
        results.append(w.detach().numpy())
    np.testing.assert_allclose(*results, rtol=0, atol=1e-12)


def _run(name, options, start, gradients):
    w = mg.nn.Parameter(mg.tensor(start))
    optimizer = getattr(mg.optim, name)([w], **options)
    for gradient in gradients:
        w.grad = mg.Tensor._wrap(gradient, w.backend)
        optimizer.step()
    return w.detach().numpy().copy()


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=ident)
def test_blocks_change_no_bit(monkeypatch, rng, name, options):
    """Arrays of several blocks and a rest, against the same in one piece."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 256)
    start, gradients = rng.standard_normal((7, 31)), rng.standard_normal((3, 7, 31))
    copies = gradients.copy()
    in_blocks = _run(name, options, start, gradients)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 30)
    assert np.array_equal(in_blocks, _run(name, options, start, gradients))
    assert np.array_equal(gradients, copies), "an update may not change the gradient"


@pytest.mark.parametrize(("name", "options"), DISTINCT, ids=ident)
@pytest.mark.parametrize("strided", ["parameter", "gradient", "both"])
def test_memory_layout_changes_no_bit(monkeypatch, rng, name, options, strided):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 64)
    start, gradients = rng.standard_normal((5, 6)), list(rng.standard_normal((4, 5, 6)))
    expected = _run(name, options, start, gradients)
    w = mg.nn.Parameter(mg.tensor(start))
    if strided != "gradient":
        w.array = np.asfortranarray(start)
    optimizer = getattr(mg.optim, name)([w], **options)
    for gradient in gradients:
        own = np.asfortranarray(gradient) if strided != "parameter" else gradient
        w.grad = mg.Tensor._wrap(own, w.backend)
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    assert np.array_equal(w.detach().numpy(), expected)


@pytest.mark.parametrize(("name", "options"), DISTINCT, ids=ident)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_updated_in_float32(rng, name, options, dtype):
    gradients = [mg.tensor(g).to(dtype=dtype) for g in rng.standard_normal((4, 5))]
    start = mg.tensor(rng.standard_normal(5)).to(dtype=dtype)
    half = mg.nn.Parameter(start.clone())
    optimizer = getattr(mg.optim, name)([half], **options)
    twin = getattr(mg.optim, name)([wide := mg.nn.Parameter(start.float())], **options)
    for gradient in gradients:
        half.grad, wide.grad = gradient, gradient.float()
        optimizer.step()
        twin.step()
        wide.detach().copy_(wide.detach().to(dtype=dtype))  # rounded once a step
        assert half.detach().float().tolist() == wide.tolist()
    arrays = [v for v in optimizer.state[half].values() if isinstance(v, np.ndarray)]
    assert all(a.dtype == np.float32 for a in arrays)
    optimizer.load_state_dict(optimizer.state_dict())
    assert all(a.dtype == np.float32 for a in optimizer.state[half].values() if isinstance(a, np.ndarray))


@pytest.mark.parametrize(("name", "options"), DISTINCT, ids=ident)
def test_empty_parameters_and_infinite_gradients_pass(name, options):
    empty, w = mg.nn.Parameter(mg.zeros(0, 3)), mg.nn.Parameter(mg.zeros(2))
    optimizer = getattr(mg.optim, name)([empty, w], **options)
    empty.grad, w.grad = mg.zeros(0, 3), mg.tensor([float("inf"), 1e30])
    optimizer.step()
    optimizer.step()
    assert empty.shape == (0, 3)
    assert not np.isfinite(w.numpy()).all()


def test_sgd_by_hand():
    w = mg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = SGD([w], lr=0.5, momentum=0.5)
    w.grad = mg.tensor([2.0, -2.0])
    optimizer.step()
    assert w.tolist() == [0.0, -1.0]
    w.grad = mg.zeros(2)
    optimizer.step()
    assert w.tolist() == [-0.5, -0.5]  # half the velocity (2, -2), times the rate


def test_accumulated_batches_equal_one_large_batch(rng):
    inputs, targets = mg.tensor(rng.standard_normal((12, 4))), mg.tensor(rng.standard_normal((12, 3)))

    def run(parts):
        mg.manual_seed(0)
        layer = mg.nn.Linear(4, 3).double()
        optimizer = AdamW(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            for x, y in zip(inputs.split(12 // parts), targets.split(12 // parts), strict=True):
                (mg.mse_loss(layer(x), y) / parts).backward()
            optimizer.step()
        return layer.weight.detach().numpy()

    np.testing.assert_allclose(run(4), run(1), rtol=1e-12)


def test_zero_grad():
    w = mg.ones(2, requires_grad=True)
    optimizer = SGD([w])
    w.sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert w.grad is None


def test_numbers_of_numpy_become_pythons():
    optimizer = Adam(
        [mg.zeros(1, requires_grad=True)], lr=np.float64(0.1), betas=[np.float32(0.5), mg.tensor(0.25)]
    )
    group = optimizer.param_groups[0]
    assert (type(group["lr"]), group["betas"]) == (float, (0.5, 0.25))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: SGD([]), "no parameters"),
        (lambda w: SGD(w), "not Tensor"),
        (lambda w: SGD({w}), "fixed order"),
        (lambda w: SGD([w], lr=-1), "lr must be"),
        (lambda w: SGD([w], lr="0.1"), "lr must be a number >= 0, not '0.1'"),
        (lambda w: SGD([w], lr=float("nan")), "lr must be"),
        (lambda w: SGD([w], lr=float("inf")), "lr must be"),
        (lambda w: SGD([w], momentum=1.5), "momentum must lie"),
        (lambda w: SGD([w], nesterov=True), "nesterov needs"),
        (lambda w: SGD([w], nesterov=True, momentum=0.9, dampening=0.1), "nesterov needs"),
        (lambda w: SGD([w], maximize="yes"), "True or False"),
        (lambda w: SGD([w, w]), "twice"),
        (lambda w: SGD([{"params": [w]}, {"params": [w]}]), "twice"),
        (lambda w: SGD([w * 2]), "leaf tensors"),
        (lambda w: SGD([np.zeros(2)]), "leaf tensors"),
        (lambda w: SGD([{"params": [w], "rate": 1}]), "no option rate"),
        (lambda w: SGD([{"params": [w], "lr": -1}]), "lr must be"),
        (lambda w: SGD([{"lr": 1}]), '"params"'),
        (lambda w: Adam([w], betas=(1.0, 0.9)), "betas must lie"),
        (lambda w: Adam([w], betas=0.9), "betas must lie"),
        (lambda w: AdamW([w], betas=(0.9, 0.9, 0.9)), "betas must lie"),
        (lambda w: AdamW([w], weight_decay=-1), "weight_decay must be"),
        (lambda w: RMSprop([w], alpha=2), "alpha must lie"),
        (lambda w: RMSprop([w], eps=-1), "eps must be"),
        (lambda w: Adagrad([w], lr_decay=-1), "lr_decay must be"),
        (lambda w: Adagrad([w], initial_accumulator_value=-1), "initial_accumulator_value must be"),
        (lambda w: NAdam([w], momentum_decay=-1), "momentum_decay must be"),
    ],
)
def test_clear_errors(make, message):
    with pytest.raises(ArgumentError, match=message):
        make(mg.zeros(2, requires_grad=True))


def test_a_gradient_of_another_shape_is_refused():
    w = mg.zeros(2, 3, requires_grad=True)
    w.grad = mg.zeros(3)
    with pytest.raises(ShapeError, match=r"shape \[2, 3\] has a gradient of shape \[3\]"):
        SGD([w]).step()


def test_repr():
    assert repr(SGD([mg.zeros(1, requires_grad=True)], lr=0.5)) == (
        "SGD(1 parameters, lr=0.5, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False)"
    )
