"""Every promise an operation makes by being registered, checked over its own samples.

PROPERTIES names the promises; `check_operation` goes through all of them, and the test suite through each of
them for each operation of the registry. A new operation is tested by existing, a user's own by one call.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad import dtypes
from minigrad.engine import no_grad
from minigrad.errors import MinigradError
from minigrad.op import Operation, get_operation
from minigrad.ops.composites import COMPOSITES, expand
from minigrad.tensor import Tensor
from minigrad.testing.checked import gradients_or_zeros
from minigrad.testing.gradients import gradcheck, gradgradcheck
from minigrad.testing.quotients import close
from minigrad.testing.samples import OperationError, SampleCall, all_samples, differentiable_samples
from minigrad.tracing.profile import profile

__all__ = ["PROPERTIES", "check_operation"]

PROPERTIES: dict[str, Callable[[Operation], None]] = {}


def check_operation(op: Operation | str) -> None:
    """Check all that an operation promises, over its own samples: each of PROPERTIES.

    It is documented and has samples; its first and second derivatives are right (`gradcheck`, `gradgradcheck`);
    it changes no input; the same inputs give the same bits; float32 gives float32, and half precision the
    rounded float32 result; a view is declared as one; the memory layout of inputs does not matter; the gradient
    of one input does not depend on which others are wanted; its FLOP count is finite; a composite equals its parts.

    op: the operation, or its name in the registry.

    Raises OperationError that lists every broken promise.

    >>> check_operation("mul")
    """
    op = get_operation(op) if isinstance(op, str) else op
    broken = []
    for name, check in PROPERTIES.items():
        try:
            check(op)
        except Exception as error:
            broken.append(f"{name}: {error if isinstance(error, MinigradError) else repr(error)}")
    if broken:
        raise OperationError(
            f"operation {op.name} breaks {len(broken)} of its promises\n  " + "\n  ".join(broken)
        )


def _promise(check: Callable[[Operation], None]) -> Callable[[Operation], None]:
    PROPERTIES[check.__name__] = check
    return check


@_promise
def documented(op: Operation) -> None:
    """It says what it computes, how its gradient reads, where both come from, and shows samples."""
    public = getattr(sys.modules.get(op.__module__), op.name, None)
    missing = {
        "a docstring (of its forward, or of the public function of its name)": not (
            inspect.getdoc(op.forward) or inspect.getdoc(public)
        ),
        "a formula": not op.formula,
        "a source": not op.source,
        "samples": not all_samples(op),
        "a gradient_formula for its gradient": op.gradient_fn is not None and not op.gradient_formula,
        "the gradient that its gradient_formula describes": op.gradient_fn is None
        and bool(op.gradient_formula),
    }
    if any(missing.values()):
        raise OperationError(f"{op.name} lacks {', '.join(name for name, lacks in missing.items() if lacks)}")


@_promise
def flops_are_counted(op: Operation) -> None:
    """Its FLOP count is a finite number, not negative."""
    for call in all_samples(op):
        inputs = call.tensors()
        input_shapes = [x.shape if isinstance(x, Tensor) else () for x in inputs]
        count = op.flops(input_shapes, [y.shape for y in call.run(inputs)], {**op.defaults, **call.params})
        call.require(math.isfinite(count) and count >= 0, f"counts {count} floating-point operations")


@_promise
def first_derivative(op: Operation) -> None:
    """Its gradient is what difference quotients say, with and without create_graph."""
    for call in differentiable_samples(op):
        _check_gradient(gradcheck, call)


@_promise
def second_derivative(op: Operation) -> None:
    """The gradient of its gradient is what difference quotients say."""
    for call in differentiable_samples(op):
        _check_gradient(gradgradcheck, call)


def _check_gradient(check: Callable[..., bool], call: SampleCall) -> None:
    try:
        check(lambda *inputs: call.run(inputs), call.tensors(), directions=1)
    except MinigradError as error:
        raise OperationError(f"{call}: {error}") from error


@_promise
def gradients_on_their_own(op: Operation) -> None:
    """The gradient of one input does not depend on whether those of the others are wanted too."""
    for call in differentiable_samples(op):
        _, together = call.run_back(call.tensors())
        for i, expected in zip(call.floating, together, strict=True):
            alone = [
                x.detach() if isinstance(x, Tensor) and j != i else x for j, x in enumerate(call.tensors())
            ]
            _, (found,) = call.run_back(alone)
            call.require(
                close(found, expected, 1e-12), f"the gradient of input {i} differs when it is wanted alone"
            )


@_promise
def a_composite_equals_its_parts(op: Operation) -> None:
    """What declares itself a composite gives what its parts do: values, first and second derivatives, FLOP count."""
    if op.name not in COMPOSITES:
        return
    for call in all_samples(op):
        whole = _up_to_second_derivatives(call, lambda *inputs, call=call: op(*inputs, **call.params))
        parts = _up_to_second_derivatives(call, lambda *inputs, call=call: expand(op, inputs, call.params))
        for what in whole:
            same = all(close(a, b, 1e-12) for a, b in zip(whole[what], parts[what], strict=True))
            call.require(same, f"its {what} differ from those of its parts")


def _up_to_second_derivatives(call: SampleCall, fn: Callable[..., Any]) -> dict[str, list[np.ndarray]]:
    """What a function gives for a sample's inputs, by what is to be compared."""

    def waves(tensors: Sequence[Tensor]) -> list[Tensor]:
        return [
            Tensor(np.cos(np.arange(t.numel()) + t.ndim).reshape(t.shape), dtype=t.dtype) for t in tensors
        ]

    inputs = call.tensors()
    with profile() as counted:
        outputs = fn(*inputs)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    leaves, gys = [inputs[i] for i in call.floating], [gy.requires_grad_() for gy in waves(outputs)]
    first = gradients_or_zeros(outputs, leaves, gys, create_graph=True)
    second = gradients_or_zeros(list(first), [*leaves, *gys], waves(first), create_graph=False)
    return {
        "outputs": [y.numpy() for y in outputs],
        "first derivatives": [g.numpy() for g in first],
        "second derivatives": [g.numpy() for g in second],
        "floating-point operations": [np.array(sum(row[2] for row in counted.rows.values()))],
    }


@_promise
def inputs_stay(op: Operation) -> None:
    """Neither the forward nor the gradient, in either mode, changes a bit of an input or of an output."""
    for call in all_samples(op):
        for create_graph in (False, True):
            inputs = call.tensors()
            given = [x.numpy().tobytes() for x in inputs if isinstance(x, Tensor)]
            expected = [y.numpy().tobytes() for y in call.run(inputs)]
            outputs, _ = call.run_back(inputs, create_graph)
            left = [x.numpy().tobytes() for x in inputs if isinstance(x, Tensor)]
            call.require(left == given, "an input has changed")
            call.require(
                [y.numpy().tobytes() for y in outputs] == expected, "the gradient has changed an output"
            )


@_promise
def replays(op: Operation) -> None:
    """The same inputs (and the same random stream) give the same bits, forward and backward."""
    for call in all_samples(op):
        bits = []
        for _ in range(2):
            outputs, gradients = call.run_back(call.tensors())
            bits.append([a.tobytes() for a in [*(y.numpy() for y in outputs), *gradients] if a is not None])
        call.require(bits[0] == bits[1], "two runs on the same inputs differ")


@_promise
def views_are_declared(op: Operation) -> None:
    """An output that shares memory with an input belongs to an operation with may_view."""
    for call in all_samples(op):
        inputs = call.tensors()
        arrays = [x.numpy() for x in inputs if isinstance(x, Tensor)]
        shared = any(np.shares_memory(a, y.numpy()) for y in call.run(inputs) for a in arrays)
        call.require(
            op.may_view or not shared, "an output shares an input's memory; declare it with may_view=True"
        )


@_promise
def kept_outputs_have_gradients(op: Operation) -> None:
    """An output that is kept for backward is differentiable, or holds integers or a mask: no derivative is lost."""
    for call in differentiable_samples(op):
        outputs = call.run(call.tensors())
        for i in op.kept_outputs:
            lost = dtypes.is_floating(outputs[i].dtype) and not outputs[i].requires_grad
            call.require(not lost, f"output {op.outputs[i]} is kept for backward, but has no gradient")


@_promise
def float32_stays_float32(op: Operation) -> None:
    """float32 inputs give float32 where float64 ones give float64, the same values and gradients up to rounding."""
    for call in all_samples(op):
        (ys, gs), (zs, hs) = call.run_back(call.tensors()), call.run_back(call.tensors(dtypes.float32))
        follows = bool(call.floating) and "dtype" not in call.params
        for i, (y, z) in enumerate(zip(ys, zs, strict=True)):
            expected = {dtypes.float32 if follows and y.dtype == dtypes.float64 else y.dtype}
            if (
                i > 0 and i in op.kept_outputs
            ):  # statistics that backward needs may be more precise than the data
                expected.add(y.dtype)
            call.require(
                z.dtype in expected, f"float32 inputs give {z.dtype} where float64 ones give {y.dtype}"
            )
            if dtypes.is_floating(y.dtype):
                call.require(close(z.numpy(), y.numpy(), 1e-4), "float32 results differ from float64 ones")
        for i, g, h in zip(call.floating, gs, hs, strict=True):
            call.require(
                h is None or h.dtype == dtypes.float32, f"the gradient of float32 input {i} is another dtype"
            )
            call.require(close(h, g, 1e-3), f"the float32 gradient of input {i} differs from the float64 one")


@_promise
def half_precision_is_rounded_once(op: Operation) -> None:
    """float16 and bfloat16 inputs give the float32 result, rounded to their dtype."""
    for call in all_samples(op):
        if not call.floating or "dtype" in call.params:
            continue
        for half in (dtypes.float16, dtypes.bfloat16):
            narrow, wide = call.tensors(half), call.tensors(half)
            for i in call.floating:
                wide[i] = wide[i].detach().float().requires_grad_()
            ys, (zs, gradients) = call.run(wide), call.run_back(narrow)
            for y, z in zip(ys, zs, strict=True):
                expected = y.numpy().astype(half) if y.dtype == dtypes.float32 else y.numpy()
                call.require(z.dtype == expected.dtype, f"{half} inputs give {z.dtype}")
                same = z.numpy().tobytes() == expected.tobytes()
                call.require(same, f"{half} inputs do not give the float32 result rounded once")
            for g in gradients:
                call.require(
                    g is None or g.dtype == half, f"the gradient of a {half} input is of another dtype"
                )


@_promise
def layout_does_not_matter(op: Operation) -> None:
    """Inputs that lie in memory with gaps, backwards or column by column give equal results and gradients."""
    layouts = {"with gaps": _with_gaps, "backwards": _backwards, "column by column": _by_columns}
    for call in all_samples(op):
        outputs, gradients = call.run_back(call.tensors())
        expected = [*(y.numpy() for y in outputs), *gradients]
        for name, layout in layouts.items():
            outputs, gradients = call.run_back(call.laid_out(layout))
            found = [*(y.numpy() for y in outputs), *gradients]
            same = all(close(a, b, 1e-12) for a, b in zip(found, expected, strict=True))
            call.require(same, f"inputs that lie {name} in memory give another result")


def _by_columns(a: np.ndarray) -> np.ndarray:
    """Equal values, the first axis innermost."""
    return np.array(a, order="F")


def _with_gaps(a: np.ndarray) -> np.ndarray:
    """Equal values, every second element of a larger array."""
    larger = np.full([2 * n for n in a.shape], 77, a.dtype)
    view = larger[_every(a.ndim, 2)]
    view[...] = a
    return view


def _backwards(a: np.ndarray) -> np.ndarray:
    """Equal values, with negative strides."""
    back = _every(a.ndim, -1)
    return a[back].copy()[back]


def _every(ndim: int, step: int) -> Any:
    """An index that takes every step-th element; the dots keep a 0-dimensional array an array."""
    return (..., *[slice(None, None, step)] * ndim)


@_promise
def integers_are_taken_or_refused(op: Operation) -> None:
    """int64 in place of floating-point inputs gives a result or a clear error, not a traceback from within.

    This is asked of operations that users call as they are; where a public function stands before one, it checks.
    """
    module = sys.modules.get(op.__module__)
    if module is not None and getattr(module, op.name, None) is not op:
        return
    for call in all_samples(op):
        inputs = call.tensors()
        for i in call.floating:
            inputs[i] = Tensor(np.rint(3 * np.abs(call.arguments[i])).astype(np.int64))
        try:
            with no_grad():
                call.run(inputs)
        except MinigradError:
            continue
        except Exception as error:
            raise OperationError(
                f"{call} with int64 arrays is neither taken nor clearly refused: {error!r}"
            ) from error
