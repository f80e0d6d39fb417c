"""Synchronised batch norm in one process: its kernel, its layer, converting. What ranks make of it: `test_ranks.py`."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import communicator, nn, ops
from minigrad.backend.native import sync_batch_norm as kernels
from minigrad.communicator import SingleProcess
from minigrad.errors import ShapeError
from minigrad.op import get_operation
from tests.backend.twins import compare, nhwc


class Echo(SingleProcess):
    """Two ranks that hold the same."""

    size = 2

    def all_gather(self, array):
        return np.stack([array, array])

    def start_all_reduce(self, array, op="sum", traffic=None):
        if op == "sum":
            array *= 2
        return super().start_all_reduce(array, op, traffic)


@pytest.fixture
def echo():
    before = communicator.use(Echo())
    yield
    communicator.use(before)


@pytest.mark.parametrize("shape", [(7, 5), (4, 3, 1, 1), (5, 16, 13, 12), (33, 7, 8)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("group", [SingleProcess, Echo])
def test_the_kernel_equals_the_definition(rng, shape, affine, group):
    x = nhwc(rng, *shape) * 3 + 2
    vectors = [rng.standard_normal(shape[1], dtype=np.float32) for _ in range(2)] if affine else [None, None]
    before = communicator.use(group())
    try:
        compare(
            "sync_batch_norm", kernels.sync_batch_norm_forward, kernels.sync_batch_norm_gradient, [x, *vectors],
            eps=1e-3, rtol=1e-5,
        )  # fmt: skip
    finally:
        communicator.use(before)


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 4, 5)])
def test_of_one_process_it_is_batch_norm(rng, shape):
    x, w, b = (mg.tensor(rng.standard_normal(s), requires_grad=True) for s in (shape, 3, 3))
    seed = mg.tensor(rng.standard_normal(shape))
    y = get_operation("sync_batch_norm")(x, w, b, eps=1e-3)[0]
    gradients = mg.grad((y * seed).sum(), [x, w, b])
    expected = ops.batch_norm(x, None, None, w, b, True, eps=1e-3)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(gradients, mg.grad((expected * seed).sum(), [x, w, b]), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_two_equal_halves_are_the_batch_twice(rng, dtype):
    half = rng.standard_normal((4, 3, 9, 11)).astype(dtype) + 5
    seed = rng.standard_normal(half.shape).astype(dtype)
    layer = nn.SyncBatchNorm(3, dtype=dtype)
    x = mg.tensor(half, requires_grad=True)
    (layer(x) * mg.tensor(seed)).sum().backward()
    twin, both = nn.BatchNorm2d(3, dtype=dtype), mg.tensor(np.concatenate([half, half]), requires_grad=True)
    (twin(both) * mg.tensor(np.concatenate([seed, seed]))).sum().backward()
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(x.grad.numpy(), both.grad.numpy()[:4], **close)
    np.testing.assert_allclose(2 * layer.weight.grad.numpy(), twin.weight.grad.numpy(), **close)
    np.testing.assert_allclose(layer.running_var.numpy(), twin.running_var.numpy(), **close)  # of all values
    assert layer.num_batches_tracked.item() == 1


@pytest.mark.usefixtures("echo")
def test_one_value_on_each_of_two_ranks_is_enough():
    nn.SyncBatchNorm(2)(mg.ones(1, 2))


def test_one_value_on_one_rank_is_not():
    with pytest.raises(ShapeError, match="two values"):
        nn.SyncBatchNorm(2)(mg.ones(1, 2))


def test_converting_keeps_parameters_averages_and_mode():
    model = nn.Sequential(
        nn.BatchNorm1d(3), nn.Sequential(nn.BatchNorm2d(4, momentum=0.3)), nn.Linear(1, 1)
    ).eval()
    names, parameters = list(model.state_dict()), list(model.parameters())
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert converted is model
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert list(model.state_dict()) == names
    assert type(model[0]) is type(model[1][0]) is nn.SyncBatchNorm
    assert model[1][0].momentum == 0.3
    assert not model[0].training
    again = model[0]
    assert nn.SyncBatchNorm.convert_sync_batchnorm(model)[0] is again
    assert type(nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(2))) is nn.SyncBatchNorm


def test_in_evaluation_it_is_batch_norm(rng):
    x = mg.tensor(rng.standard_normal((4, 3)))
    layers = [kind(3, dtype="float64").eval() for kind in (nn.SyncBatchNorm, nn.BatchNorm1d)]
    assert layers[0](x).tolist() == layers[1](x).tolist()


@pytest.mark.usefixtures("echo")
def test_layers_around_it_run_by_themselves(rng):
    """A composite takes the statistics of what it sees; a synchronised norm in its place must not be one of its."""
    x = mg.tensor(rng.standard_normal((4, 1, 6, 6)))
    conv, norm = nn.Conv2d(1, 2, 3, bias=False, dtype="float64"), nn.SyncBatchNorm(2, dtype="float64")
    with mg.profile() as profile:
        nn.functional.conv_bn_act(x, conv, norm)
    assert ("sync_batch_norm", "forward") in profile.rows
