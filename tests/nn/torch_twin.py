"""PyTorch's layer of the same name as an oracle: one builder makes both, their state goes from one to the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import minigrad as mg

RTOL = 1e-9


def assert_close(got: Any, expected: Any, what: str, rtol: float = RTOL) -> None:
    """Shapes and dtypes agree, and values to `rtol` of the largest magnitude."""
    got, expected = got.detach().numpy(), expected.detach().numpy()
    assert (got.shape, str(got.dtype)) == (expected.shape, str(expected.dtype)), what
    scale = np.abs(expected).max(initial=1e-300)
    np.testing.assert_allclose(got, expected, rtol=0, atol=rtol * scale, err_msg=what)


def share_state(torch: Any, ours: Any, theirs: Any, seed: int = 0) -> None:
    """Give both the same numbers, unlike those they began with, by `load_state_dict` in both directions."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, value in theirs.state_dict().items():
        array = value.numpy().copy()
        state[name] = rng.uniform(0.5, 1.5, array.shape) if array.dtype.kind == "f" else array
    ours.load_state_dict(state)
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()})


def compare_layers(
    torch: Any,
    make: Callable[[Any], Any],
    arrays: Iterable[Any],
    *,
    mode: str = "train",
    call: Callable[..., Any] = lambda layer, *tensors: layer(*tensors),
    same_repr: bool = True,
    rtol: float = RTOL,
) -> None:
    """Assert that `make(mg.nn)` and `make(torch.nn)`, in float64, do the same.

    Compared are the state's names, outputs (those that are None on both sides included), the gradients of all inputs
    in floating point and of all parameters, the state afterwards, and the text that repr gives.

    call: how the layer is called with the inputs as tensors.
    """
    from minigrad import nn

    ours, theirs = make(nn).double(), make(torch.nn).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    share_state(torch, ours, theirs)
    if same_repr:
        assert repr(ours) == re.sub("(, )?inplace=(True|False)", "", repr(theirs))
    getattr(ours, mode)()
    getattr(theirs, mode)()
    arrays = [np.asarray(a) for a in arrays]
    floats = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    xs = [mg.tensor(a, requires_grad=i in floats) for i, a in enumerate(arrays)]
    ts = [torch.tensor(a, requires_grad=i in floats) for i, a in enumerate(arrays)]
    outputs, expected = _as_tuple(call(ours, *xs)), _as_tuple(call(theirs, *ts))
    assert [y is None for y in outputs] == [y is None for y in expected]
    pairs = [(y, z) for y, z in zip(outputs, expected, strict=True) if z is not None]
    for i, (y, z) in enumerate(pairs):
        assert_close(y, z, f"output {i}", rtol)
    pairs = [(y, z) for y, z in pairs if z.requires_grad]
    assert all(y.requires_grad for y, _ in pairs)
    rng = np.random.default_rng(1)
    seeds = [rng.standard_normal(tuple(z.shape)) for _, z in pairs]
    if pairs:
        sum((y * mg.tensor(s)).sum() for (y, _), s in zip(pairs, seeds, strict=True)).backward()
        sum((z * torch.tensor(s)).sum() for (_, z), s in zip(pairs, seeds, strict=True)).backward()
    for i in floats if pairs else ():
        assert_gradients_close(xs[i], ts[i], f"gradient of input {i}", rtol)
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert_gradients_close(p, q, f"gradient of {name}", rtol)
    for (name, p), q in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert_close(p, q, f"{name} afterwards", rtol)


def assert_gradients_close(ours: Any, theirs: Any, what: str, rtol: float = RTOL) -> None:
    """A gradient that is missing on one side counts as zeros."""
    got = mg.zeros_like(ours) if ours.grad is None else ours.grad
    expected = theirs.new_zeros(theirs.shape) if theirs.grad is None else theirs.grad
    assert_close(got, expected, what, rtol)


def _as_tuple(outputs: Any) -> tuple:
    return outputs if isinstance(outputs, tuple) else (outputs,)
