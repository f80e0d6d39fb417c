"""The moving average of weights follows PyTorch's, and leaves the weights as they were."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, StateError
from minigrad.optim import ExponentialMovingAverage, blocks


def _network(lib):
    return lib.nn.Sequential(lib.nn.Linear(4, 3), lib.nn.BatchNorm1d(3), lib.nn.Linear(3, 2))


def _move(model, rng, tensor):
    """Other weights and running statistics, as a step of training would leave them."""
    for _, t in [*model.named_parameters(), *model.named_buffers()]:
        values = rng.integers(0, 9, ()) if "int" in str(t.dtype) else rng.standard_normal(tuple(t.shape))
        t.detach().copy_(tensor(values))


def test_averages_follow_pytorch(torch, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 32)  # several to an array
    ours, theirs = _network(mg).double(), _network(torch).double()
    ema = ExponentialMovingAverage(ours, decay=0.9)
    twin = torch.optim.swa_utils.AveragedModel(
        theirs, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    for seed in range(10):
        _move(ours, np.random.default_rng(seed), mg.tensor)
        _move(theirs, np.random.default_rng(seed), torch.tensor)
        ema.update()
        twin.update_parameters(theirs)
        with ema.average_parameters():
            for name, value in twin.module.state_dict().items():
                np.testing.assert_allclose(ours.state_dict()[name].numpy(), value.numpy(), rtol=0, atol=1e-12)
        for name, value in theirs.state_dict().items():
            assert np.array_equal(ours.state_dict()[name].numpy(), value.numpy())


def test_the_weights_come_back_after_an_error():
    model = _network(mg)
    ema = ExponentialMovingAverage(model)
    _move(model, np.random.default_rng(0), mg.tensor)
    before = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    seen = []

    def evaluate():
        with ema.average_parameters():
            seen.append(model.state_dict()["0.weight"].numpy().copy())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate()
    assert not np.array_equal(seen[0], before["0.weight"])
    assert all(np.array_equal(t.numpy(), before[name]) for name, t in model.state_dict().items())
    with ema.average_parameters():
        pass  # and it can be entered again


def test_a_change_inside_does_not_stay_and_buffers_are_those_of_the_latest_update():
    model = mg.nn.BatchNorm1d(2)
    ema = ExponentialMovingAverage(model)
    ema.update()
    model(mg.randn(8, 2))
    own = model.running_mean.tolist()
    with ema.average_parameters():
        assert model.running_mean.tolist() == [0, 0]
        model(mg.randn(8, 2))
    assert model.running_mean.tolist() == own


def test_a_graph_made_before_notices_the_swap():
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    ema = ExponentialMovingAverage([w])
    loss = (w * w).sum()
    with ema.average_parameters(), pytest.raises(mg.errors.GraphError):
        loss.backward()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_averaged_in_float32(dtype):
    w = mg.nn.Parameter(mg.zeros(3).to(dtype=dtype))
    ema = ExponentialMovingAverage([w], decay=0.999)
    ema.update()
    w.detach().fill_(1)
    for _ in range(1000):
        ema.update()  # each by 0.001, which half precision would lose
    with ema.average_parameters():
        assert w.detach().float().numpy() == pytest.approx(1 - 0.999**1000, rel=0.01)
    assert w.detach().float().tolist() == [1, 1, 1]


def test_state_goes_on_bit_for_bit(rng):
    values = rng.standard_normal((8, 3))

    def run(first, last, state=None):
        w = mg.tensor(values[0], requires_grad=True)
        ema = ExponentialMovingAverage([w], 0.9)
        if state is not None:
            ema.load_state_dict(state)
        for value in values[first:last]:
            w.detach().copy_(mg.tensor(value))
            ema.update()
        return ema.state_dict()

    half = run(0, 4)
    assert json.dumps(half["n_averaged"]) == "4"
    arrays = {name: array.copy() for name, array in half["average"].items()}
    tensors = {name: mg.tensor(array) for name, array in arrays.items()}
    expected = run(0, 8)
    for average in (arrays, tensors):
        found = run(4, 8, {"n_averaged": 4, "average": average})
        assert found["n_averaged"] == 8
        assert np.array_equal(found["average"]["0"], expected["average"]["0"])
        assert found["average"]["0"] is not average["0"]


def test_errors():
    w = mg.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match="decay must lie"):
        ExponentialMovingAverage([w], decay=1.5)
    with pytest.raises(ArgumentError, match="nothing to average"):
        ExponentialMovingAverage(mg.nn.ReLU())
    with pytest.raises(ArgumentError, match="nothing to average"):
        ExponentialMovingAverage([])
    with pytest.raises(ArgumentError, match=r"a module or of floating-point tensors, not of 0\.5"):
        ExponentialMovingAverage([w, 0.5])
    ema = ExponentialMovingAverage([w])
    with ema.average_parameters():
        with pytest.raises(StateError, match="leave average_parameters"):
            ema.update()
        with pytest.raises(StateError, match="stand in the model already"), ema.average_parameters():
            pass
    for state, message in [
        ({}, "n_averaged"),
        ({"n_averaged": 1, "average": {}}, "0 is missing"),
        (
            {"n_averaged": 1, "average": {"0": np.zeros(3), "1": np.zeros(1)}},
            r"1 is not expected; 0 has shape \[3\]",
        ),
    ]:
        with pytest.raises(StateError, match=message):
            ema.load_state_dict(state)
    assert ema.n_averaged == 0
