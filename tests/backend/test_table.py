"""The table of kernels: it names what exists, loads it late, and reads the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import get_backend
from minigrad.backend.native import optimizers, table
from minigrad.errors import ArgumentError
from minigrad.op import get_operation

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = {**table.OTHERS, **table.CONVOLUTIONS}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_names_an_operation_and_functions_that_exist(name):
    module = import_module(f"minigrad.backend.native.{ENTRIES[name][0]}")
    assert get_operation(name)
    assert [part for part in ("forward", "gradient") if callable(getattr(module, f"{name}_{part}", None))]


def test_every_update_exists():
    assert all(callable(getattr(optimizers, name)) for name in table.UPDATES)


def test_the_largest_array_of_a_call_decides(monkeypatch):
    calls: list = []
    monkeypatch.setattr(table, "import_module", lambda name: type(sys)(name))
    monkeypatch.setattr(table, "_decline", lambda *arrays, **params: calls.append((arrays, params)))
    run = table._late("anything", "forward", 10)
    large, small, scalar = np.ones(11), np.ones(10), np.ones(())
    for arrays in (
        (small,),
        (scalar, small),
        (2.0, small),
        (None,),
        ((large,), small),
        (),
        ((), (11, 11), small),
    ):
        assert run(None, *arrays) is None
    assert not calls
    for arrays in (
        (large,),
        (scalar, large, small),
        (2, large),
        (None, large),
        ((scalar,), large),
        (small, None, large),
    ):
        run(None, *arrays, dim=1)
        assert calls.pop() == ((None, *arrays), {"dim": 1})
    monkeypatch.undo()


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


TINY = """
import sys, minigrad as mg
from minigrad import nn
import minigrad.nn.functional as F
x, w = mg.randn(4, 8, requires_grad=True), mg.randn(3, 8, requires_grad=True)
model = nn.Sequential(nn.Linear(8, 4), nn.LayerNorm(4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 3))
optimizer = mg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for _ in range(2):
    optimizer.zero_grad()
    F.cross_entropy(model(x), mg.tensor([0, 1, 2, 1])).backward()
    optimizer.step()
(x.exp() + x.sigmoid() + x.tanh() + mg.softmax(x, 1) + mg.log_softmax(x, 1) + F.gelu(x) + F.silu(x)).sum().backward()
F.max_pool2d(mg.randn(1, 1, 8, 8), 2)
print([name for name in ("numba", "llvmlite", "threadpoolctl", "matplotlib", "tqdm") if name in sys.modules])
"""


def test_tiny_operations_import_no_compiler():
    done = run(TINY)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    "name, message",
    [
        ("MINIGRAD_KERNELS", "must be plain, or not set; not 'fast'"),
        ("MINIGRAD_CONV", "must be im2col, or not set; not 'fast'"),
    ],
)
def test_a_bad_value_in_the_environment_is_an_error(monkeypatch, name, message):
    monkeypatch.setenv(name, "fast")
    with pytest.raises(ArgumentError, match=f"{name} {message}"):
        table.kernels()
    monkeypatch.undo()


def test_what_the_environment_leaves_out(monkeypatch):
    assert table.kernels().keys() == ENTRIES.keys()
    monkeypatch.setenv("MINIGRAD_CONV", "im2col")
    assert table.kernels().keys() == table.OTHERS.keys()
    for name, value in (("MINIGRAD_KERNELS", "plain"), ("NUMBA_DISABLE_JIT", "1")):
        monkeypatch.delenv("MINIGRAD_KERNELS", raising=False)
        monkeypatch.setenv(name, value)
        assert not table.kernels()
        assert not table.fused_updates()
        assert table.switched_off() == name
    monkeypatch.undo()


def test_the_losses_kernels_are_in_use(monkeypatch, rng):
    """cross_entropy's gradient comes first, and has no dimensions: it must not make the call look small."""
    from minigrad.backend.native import softmax

    seen: list = []
    for name in ("cross_entropy_forward", "cross_entropy_gradient"):
        own = getattr(softmax, name)
        monkeypatch.setattr(
            softmax, name, lambda *a, own=own, name=name, **p: (seen.append(name), own(*a, **p))[1]
        )
    monkeypatch.setattr(get_backend("cpu"), "kernels", table.kernels())
    x = mg.tensor(rng.standard_normal((300, 10), dtype=np.float32), requires_grad=True)
    mg.nn.functional.cross_entropy(x, mg.tensor(rng.integers(0, 10, 300))).backward()
    assert seen == ["cross_entropy_forward", "cross_entropy_gradient"]
    monkeypatch.undo()
