"""Small networks trained with kernels and without: the same losses and parameters; the same bits with any threads.

Tolerances. A kernel's result differs from the plain one by rounding, some 1e-6 of the largest value, and five steps at
a rate of 0.01 carry that on without making it grow: 1e-4 of the largest value for parameters, of which batch norm's are
the worst (their gradients are sums over all pixels that all but cancel), and 2e-5 for losses. A wrong kernel shows in
the first digits.

BLAS plays a part in fully connected layers, where kernels leave them to it; its results may depend on its number of
threads, which is one in all tests. Everything else is the same bits at any number of threads.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import models
from minigrad import nn
from minigrad.backend import get_backend
from minigrad.backend.base import Kernel
from minigrad.backend.native import table
from minigrad.backend.native.team import team

BACKEND = get_backend("cpu")
ROOT = Path(__file__).resolve().parents[2]


def resnet() -> tuple[nn.Module, tuple]:
    return models.small_resnet(8, 10, 3, widths=(16, 32, 32)), (16, 3, 16, 16)


def cnn() -> tuple[nn.Module, tuple]:
    layers = [
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.0),
        nn.Conv2d(16, 24, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24 * 4, 10),
    ]  # fmt: skip
    return nn.Sequential(*layers), (16, 3, 16, 16)


def mlp() -> tuple[nn.Module, tuple]:
    layers = [
        nn.Linear(100, 128),
        nn.LayerNorm(128),
        nn.GELU(),
        nn.Linear(128, 128, bias=False),
        nn.BatchNorm1d(128),
        nn.Tanh(),
        nn.Linear(128, 10),
    ]  # fmt: skip (a bias before batch norm has no gradient but rounding, which Adam would blow up)
    return nn.Sequential(*layers), (256, 100)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, tuple]]] = {"resnet": resnet, "cnn": cnn, "mlp": mlp}


def train(network: str, steps: int = 5) -> dict[str, np.ndarray]:
    """Losses, the last gradients, parameters and buffers, from one seed."""
    mg.manual_seed(0)
    rng = np.random.default_rng(0)
    model, shape = NETWORKS[network]()
    x, t = mg.tensor(rng.standard_normal(shape, dtype=np.float32)), mg.tensor(rng.integers(0, 10, shape[0]))
    optimizer = (mg.optim.Adam if network == "mlp" else mg.optim.SGD)(
        model.parameters(),
        lr=1e-4 if network == "mlp" else 0.01,
        **({} if network == "mlp" else {"momentum": 0.9}),
    )
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    gradients = {f"gradient of {n}": p.grad.numpy().copy() for n, p in model.named_parameters()}
    state = {n: v.numpy().copy() for n, v in model.state_dict().items()}
    return {"loss": np.array(losses), **gradients, **state}


def use(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """As if the environment had asked for it when the backend was made."""
    if way == "plain":
        monkeypatch.setenv("MINIGRAD_KERNELS", "plain")
    elif way == "im2col":
        monkeypatch.setenv("MINIGRAD_CONV", "im2col")
    monkeypatch.setattr(BACKEND, "kernels", table.kernels())
    monkeypatch.setattr(BACKEND, "fused_updates", table.fused_updates())
    monkeypatch.delenv("MINIGRAD_KERNELS", raising=False)
    monkeypatch.delenv("MINIGRAD_CONV", raising=False)


def same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize("way", ["kernels", "im2col"])
@pytest.mark.parametrize("network", NETWORKS)
def test_kernels_train_as_the_definitions_do(monkeypatch, network, way):
    use(monkeypatch, "plain")
    expected = train(network)
    use(monkeypatch, way)
    got = train(network)
    monkeypatch.undo()
    assert expected["loss"][-1] < expected["loss"][0] - 1e-3, "it learns, so there is something to compare"
    assert np.abs(got["loss"] - expected["loss"]).max() <= 2e-5 * expected["loss"].max()
    for name, array in expected.items():
        if name.startswith("gradient of"):
            continue
        difference = np.abs(got[name] - array).max()
        assert difference <= 1e-4 * np.abs(array).max(), (name, difference, np.abs(array).max())


@pytest.mark.parametrize("network", NETWORKS)
def test_the_same_bits_again_and_at_any_number_of_threads(monkeypatch, network):
    use(monkeypatch, "kernels")
    seen = []
    for size in (1, 1, 2, 3):
        monkeypatch.setattr(team, "size", size)
        seen.append(train(network, steps=3))
    monkeypatch.undo()
    assert all(same_bits(seen[0], other) for other in seen[1:])


USED = {  # forward, backward
    "resnet": ({"conv_bn_act"}, {"conv_bn_act"}),
    "cnn": ({"conv2d", "relu", "max_pool2d", "conv2d_weight_gradient"}, {"relu"}),
    "mlp": (
        {"layer_norm", "batch_norm", "gelu", "tanh", "cross_entropy"},
        {"layer_norm", "batch_norm", "gelu", "tanh", "cross_entropy"},
    ),
}


@pytest.mark.parametrize("network", NETWORKS)
def test_kernels_are_used(monkeypatch, network):
    use(monkeypatch, "kernels")
    forward: Counter[str] = Counter()
    backward: Counter[str] = Counter()

    def counted(name: str, function: Any, counts: Counter) -> Any:
        def run(*arrays: Any, **params: Any) -> Any:
            result = function(*arrays, **params)
            counts[name] += result is not None
            return result

        return run

    kernels = {
        name: Kernel(counted(name, k.forward, forward), counted(name, k.gradient, backward))
        for name, k in BACKEND.kernels.items()
    }
    updates: Counter[str] = Counter()
    fused = {
        name: lambda *a, name=name, own=own: updates.update([name] * (not (left := own(*a)))) or left
        for name, own in BACKEND.fused_updates.items()
    }
    monkeypatch.setattr(BACKEND, "kernels", kernels)
    monkeypatch.setattr(BACKEND, "fused_updates", fused)
    train(network, steps=2)
    monkeypatch.undo()
    assert USED[network][0] <= set(+forward), forward
    assert USED[network][1] <= set(+backward), backward
    assert +updates == {"mlp": {"adam": 2}}.get(network, {"sgd": 2})


def test_numbas_threading_layer_plays_no_part():
    """`workqueue`, the one that is always there, ends the process when two threads use it at once."""
    script = "from tests.backend.test_networks import train; print(*train('cnn', 2)['loss'])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "NUMBA_THREADING_LAYER": "workqueue", "MINIGRAD_NUM_THREADS": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [float(v) for v in done.stdout.split()] == pytest.approx(train("cnn", 2)["loss"], rel=1e-6)
