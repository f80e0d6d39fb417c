"""PyTorch as an oracle: the same function written twice, compared to the second derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import dtypes

# Largest difference allowed, relative to the largest magnitude compared.
TOLERANCE = {"float64": 1e-9, "float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}


def compare_with_torch(
    mg_fn: Callable[..., Any],
    torch_fn: Callable[..., Any],
    arrays: Sequence[Any],
    *,
    order: int = 2,
    dtype: str = "float64",
    rtol: float | None = None,
    differentiable: Sequence[int] | None = None,
    seed: int = 0,
) -> None:
    """Assert that `mg_fn` and `torch_fn` agree in outputs and in gradients up to `order` (0, 1 or 2).

    arrays:         the inputs. Floating-point arrays are cast to `dtype`; integer and bool arrays, Python numbers
                    and None are passed as they are.
    rtol:           largest difference, relative to the largest magnitude; default by what is compared, see TOLERANCE.
    differentiable: positions of the inputs to differentiate by; default: every floating-point array.

    Either function takes the inputs as tensors and returns one tensor or a tuple of them. Compared are:
    - the number of outputs, and shape, dtype and values of each;
    - for a random gradient of every floating-point output, the gradients of the inputs, computed once on plain
      arrays and once recorded to be differentiated again;
    - for a random weighting of these, the second derivative by the inputs and by the random gradients.
    """
    import torch

    rng = np.random.default_rng(seed)
    arrays = [_prepare(a, dtype) for a in arrays]
    if differentiable is None:
        differentiable = [
            i for i, a in enumerate(arrays) if isinstance(a, np.ndarray) and dtypes.is_floating(a.dtype)
        ]
    ours: list[Any] = [mg.tensor(a) if isinstance(a, np.ndarray) else a for a in arrays]
    theirs: list[Any] = [_to_torch(torch, a) if isinstance(a, np.ndarray) else a for a in arrays]
    for i in differentiable if order else ():
        ours[i].requires_grad_()
        theirs[i].requires_grad_()

    our_outputs, their_outputs = _as_list(mg_fn(*ours)), _as_list(torch_fn(*theirs))
    assert len(our_outputs) == len(their_outputs), (
        f"{len(our_outputs)} outputs, PyTorch has {len(their_outputs)}"
    )
    for i, (got, expected) in enumerate(zip(our_outputs, their_outputs, strict=True)):
        _compare(f"output {i}", [got], [expected], rtol)
    if not order or not differentiable:
        return

    our_outputs = [o for o in our_outputs if dtypes.is_floating(o.dtype)]
    their_outputs = [o for o in their_outputs if o.is_floating_point()]
    seeds = [rng.standard_normal(tuple(o.shape)) for o in their_outputs]
    our_seeds = [
        mg.tensor(s, dtype=o.dtype, requires_grad=True) for s, o in zip(seeds, our_outputs, strict=True)
    ]
    their_seeds = [
        torch.tensor(s, dtype=o.dtype, requires_grad=True) for s, o in zip(seeds, their_outputs, strict=True)
    ]
    our_inputs, their_inputs = [ours[i] for i in differentiable], [theirs[i] for i in differentiable]

    plain = _gradients(mg.grad, our_outputs, our_inputs, our_seeds, retain_graph=True)
    recorded = _gradients(mg.grad, our_outputs, our_inputs, our_seeds, create_graph=True)
    expected = _gradients(torch.autograd.grad, their_outputs, their_inputs, their_seeds, create_graph=True)
    _compare("gradient", plain, expected, rtol, like=our_inputs)
    _compare("gradient under create_graph", recorded, expected, rtol, like=our_inputs)
    if order < 2:
        return

    weights = [rng.standard_normal(x.shape) for x in our_inputs]
    our_weights = [mg.tensor(w, dtype=x.dtype) for w, x in zip(weights, our_inputs, strict=True)]
    their_weights = [torch.tensor(w, dtype=x.dtype) for w, x in zip(weights, their_inputs, strict=True)]
    our_inputs, their_inputs = our_inputs + our_seeds, their_inputs + their_seeds
    second = _gradients(mg.grad, recorded, our_inputs, our_weights)
    expected = _gradients(torch.autograd.grad, expected, their_inputs, their_weights)
    _compare("second-order gradient", second, expected, rtol, like=our_inputs)


def _prepare(a: Any, dtype: str) -> Any:
    if a is None or type(a) in (bool, int, float):  # NumPy scalars are 0-dimensional arrays
        return a
    a = np.asarray(a)
    return a.astype(dtypes.as_dtype(dtype)) if dtypes.is_floating(a.dtype) else a


def _to_torch(torch: Any, a: np.ndarray) -> Any:
    """PyTorch takes neither negative strides nor NumPy's bfloat16."""
    wide = a.astype(np.float32) if dtypes.is_floating(a.dtype) and a.dtype.itemsize == 2 else a
    return torch.tensor(np.ascontiguousarray(wide).reshape(a.shape), dtype=getattr(torch, str(a.dtype)))


def _as_list(outputs: Any) -> list:
    return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]


def _gradients(grad: Callable, outputs: list, inputs: list, seeds: list, **how: bool) -> list:
    """Gradients of what can be differentiated; None where an input has no influence."""
    pairs = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o is not None and o.requires_grad]
    if not pairs:
        return [None] * len(inputs)
    outputs, seeds = (list(column) for column in zip(*pairs, strict=True))
    return list(grad(outputs, inputs, seeds, allow_unused=True, **how))


def _to_numpy(t: Any, like: Any = None) -> np.ndarray:
    if t is None:
        return np.zeros(like.shape)
    array = t.numpy() if isinstance(t, mg.Tensor) else t.detach().double().numpy(force=True)
    return array.astype(np.float64)


def _compare(what: str, got: list, expected: list, rtol: float | None, like: list | None = None) -> None:
    """Shapes, dtypes and values; `rtol` is relative to the largest magnitude of all arrays expected here."""
    like = got if like is None else like
    values = [_to_numpy(e, x) for e, x in zip(expected, like, strict=True)]
    scale = max((float(np.abs(v[np.isfinite(v)]).max(initial=0)) for v in values), default=0.0)
    for i, (g, e, value) in enumerate(zip(got, expected, values, strict=True)):
        label = what if len(got) == 1 else f"{what} {i}"
        if g is not None and e is not None:
            assert tuple(g.shape) == tuple(e.shape), (
                f"{label}: shape {tuple(g.shape)}, PyTorch has {tuple(e.shape)}"
            )
            name = str(e.dtype).removeprefix("torch.")
            assert str(g.dtype) == name, f"{label}: dtype {g.dtype}, PyTorch has {name}"
        if e is not None and not e.is_floating_point():
            assert np.array_equal(g.numpy(), e.numpy()), f"{label}:\n{g}\nPyTorch has\n{e}"
            continue
        mine, finite = _to_numpy(g, like[i]), np.isfinite(value)
        same = (
            np.array_equal(mine[~finite], value[~finite], equal_nan=True) and np.isfinite(mine[finite]).all()
        )
        assert same, f"{label}: infinities or NaNs differ:\n{mine}\nPyTorch has\n{value}"
        worst = float(np.abs(mine[finite] - value[finite]).max(initial=0))
        relative = TOLERANCE[str(like[i].dtype)] if rtol is None else rtol
        limit = relative * scale + float(np.finfo(np.float32).tiny)
        assert worst <= limit, (
            f"{label} differs by {worst:.3g}, more than {relative:g} of the largest magnitude {scale:.3g}:\n"
            f"{mine}\nPyTorch has\n{value}"
        )
