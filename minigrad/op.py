"""What an operation is: one forward, one gradient, and everything one may ask about them, in one registry.

    @operation(formula="y = max(x, 0)", gradient_formula="gx = gy [y > 0]", source="...", samples=lambda draw: [...])
    def relu(xp, x):
        return xp.maximum(x, 0)

    @relu.gradient
    def relu_gradient(xp, gy, y):
        return xp.where(y > 0, gy, 0)

**Forward.** Arrays are positional, parameters keyword-only. It sees raw arrays and `xp` (NumPy or CuPy) and
never changes an input. Several outputs are returned as a tuple and named by `outputs`.

**Gradient.** Its first two arguments are `xp` and `gy`; the *names of the others say what backward keeps*: an
input (`x`), an output (`y`), the shape of an input (`x_shape`, which keeps no array), `needs` (one bool per
input). Its keyword-only arguments are parameters of the forward. It returns one array per input, or None for an
input that `needs` says nobody asked about. Nothing else can be saved, so the same text differentiates a second
time: under `create_graph=True` it is called with Tensors, and with `xp` being the traced operations in NumPy's
spelling. Hence its rules: no in-place writes, no `out=`, no branching on values, methods of arrays only
`.reshape`, and of `xp` only what `minigrad/ops/namespace.py` lists, plus any registered operation by its name.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minigrad import engine
from minigrad.backend import ArrayNamespace
from minigrad.dtypes import BY_NAME, FLOATING, HALF
from minigrad.errors import ArgumentError, MinigradError
from minigrad.sample import Draw, Sample

REGISTRY: dict[str, Operation] = {}


class Want(NamedTuple):
    """One argument of a gradient: `kind` is input, shape, output or needs; `number` counts inputs or outputs."""

    kind: str
    number: int


class Operation:
    """A differentiable (or not) function on tensors; call it with tensors first, parameters by keyword.

    name:             its key in the registry.
    formula:          the forward, in the field's notation.
    gradient_formula: the gradient; empty for an operation without one.
    source:           paper, section and equation, or the definition relied upon.
    dtypes:           how operands of different types meet: "promote" (PyTorch's promotion), "float" (the same,
                      then integers become float32), "same" (floating-point operands must agree; integers and
                      bools are indices or masks and stay), "move" (data is only moved: no rule, and half
                      precision is not widened).
    promoted:         names of the inputs that take part in promotion; default all.
    broadcast:        inputs broadcast against each other, so the engine sums gradients back to their shapes.
    may_view:         the output may share the input's memory.
    intermediates:    names of outputs that are results on the way to the others, put out because the gradient needs
                      them: where no gradient arrives through one, the gradient text sees None, not zeros.
    kept_for:         {"a": "b"}: input a is kept for backward only if b's gradient is wanted.
    flops:            floating-point operations, a multiply-add counting two: a number per output element, or
                      a function (input shapes, output shapes, params) -> total.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        *,
        name: str | None = None,
        formula: str,
        gradient_formula: str = "",
        source: str,
        samples: Callable[[Draw], list[Sample]],
        dtypes: str = "same",
        promoted: tuple[str, ...] | None = None,
        broadcast: bool = False,
        may_view: bool = False,
        outputs: tuple[str, ...] = ("y",),
        intermediates: tuple[str, ...] = (),
        kept_for: Mapping[str, str] | None = None,
        flops: float | Callable[[list, list, dict], float] = 1,
    ) -> None:
        self.name = name or forward.__name__
        self.forward = forward
        self.formula, self.gradient_formula, self.source = formula, gradient_formula, source
        self.samples, self._flops = samples, flops
        self.dtypes, self.broadcast, self.may_view, self.outputs = dtypes, broadcast, may_view, outputs
        self.__doc__, self.__name__, self.__module__ = forward.__doc__, self.name, forward.__module__
        self.__qualname__, self.__wrapped__ = self.name, forward

        parameters = list(inspect.signature(forward).parameters.values())[1:]
        self.inputs = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.optional = sum(p.default is not p.empty for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self.params = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self.defaults = {
            p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not p.empty
        }
        self.__signature__ = inspect.Signature(parameters)
        self.arity = None if self.variadic else len(self.inputs)
        if dtypes not in ("promote", "float", "same", "move"):
            raise ArgumentError(
                f"operation {self.name}: dtypes must be promote, float, same or move, not {dtypes!r}"
            )
        # Operands of one of these types need no settling; half precision may have to be widened
        self.computed_in = (FLOATING if dtypes == "float" else frozenset(BY_NAME.values())) - HALF
        self.intermediates = frozenset(outputs.index(name) for name in intermediates)
        self.promoted = None if promoted is None else frozenset(self.inputs.index(p) for p in promoted)
        self.kept_for = {self.inputs.index(a): self.inputs.index(b) for a, b in (kept_for or {}).items()}

        self.gradient_fn: Callable[..., Any] | None = None
        self.wants: tuple[Want, ...] = ()
        self.kept_inputs: frozenset[int] = frozenset()
        self.kept_outputs: frozenset[int] = frozenset()
        self.keeps = False
        self.gradient_params: tuple[str, ...] = ()

    def gradient(self, gradient_fn: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: register the gradient. Its argument names declare what backward keeps."""
        known = {name: Want("input", i) for i, name in enumerate(self.inputs)}
        known |= {f"{name}_shape": Want("shape", i) for i, name in enumerate(self.inputs)}
        known |= {name: Want("output", i) for i, name in enumerate(self.outputs)}
        known["needs"] = Want("needs", 0)
        parameters = list(inspect.signature(gradient_fn).parameters.values())
        self.gradient_params = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        names = [p.name for p in parameters[2:] if p.kind is not p.KEYWORD_ONLY]
        unknown = [n for n in names if n not in known]
        unknown += [n for n in self.gradient_params if n not in self.params]
        if unknown:
            raise ArgumentError(
                f"the gradient of {self.name} asks for {', '.join(unknown)}; it may ask for {', '.join(known)} "
                f"by position and for the parameters {', '.join(self.params) or '(none)'} by keyword"
            )
        self.wants = tuple(known[n] for n in names)
        self.kept_inputs = frozenset(w.number for w in self.wants if w.kind == "input")
        self.kept_outputs = frozenset(w.number for w in self.wants if w.kind == "output")
        self.keeps = bool(self.kept_inputs or self.kept_outputs)
        self.gradient_fn = gradient_fn
        return gradient_fn

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        return engine.apply(self, inputs, params)

    def complete(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The inputs, with None for optional ones that were left out."""
        missing = 0 if self.variadic else len(self.inputs) - len(inputs)
        if not 0 <= missing <= self.optional:
            raise TypeError(
                f"{self.name} takes the tensors ({', '.join(self.inputs)}) by position and the options "
                f"({', '.join(self.params)}) by keyword; {len(inputs)} were given by position"
            )
        return inputs + (None,) * missing

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """An operation assigned in a class body is a method: its first input is the instance."""
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<operation {self.name}: {self.formula}>"

    def flops(self, input_shapes: list, output_shapes: list, params: dict) -> float:
        """Floating-point operations of one forward call with these shapes."""
        if callable(self._flops):
            return self._flops(input_shapes, output_shapes, params)
        return self._flops * sum(int(np.prod(s)) for s in output_shapes)


def operation(**description: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Decorator: make a forward function the registered Operation of its name. See the module's docstring."""

    def register(forward: Callable[..., Any]) -> Operation:
        op = Operation(forward, **description)
        if op.name in REGISTRY:
            raise ArgumentError(f"operation {op.name!r} exists already, in {REGISTRY[op.name].__module__}")
        REGISTRY[op.name] = op

        # Gradients reach operations that NumPy has no name for through xp; NumPy's own names win (see ArrayNamespace).
        def on_arrays(xp: ArrayNamespace, *arrays: Any, **params: Any) -> Any:
            return engine.run_forward(op, xp.backend, arrays, params)

        setattr(ArrayNamespace, op.name, on_arrays)
        return op

    return register


def operators(function: Callable[..., Any]) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """A function of two tensors as an operator, and with its operands swapped for `number - tensor`."""
    if not isinstance(function, Operation):
        return function, lambda self, other: function(other, self)
    # Python binds plain functions quicker than it does an Operation
    apply = engine.apply
    return lambda a, b: apply(function, (a, b), {}), lambda a, b: apply(function, (b, a), {})


def get_operation(name: str) -> Operation:
    """The registered operation of that name."""
    if name not in REGISTRY:
        raise MinigradError(f"no operation is named {name!r}; minigrad.op.REGISTRY lists all {len(REGISTRY)}")
    return REGISTRY[name]
