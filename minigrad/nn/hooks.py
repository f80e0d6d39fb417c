"""Hooks on modules: functions called around a module's forward, and when its gradients pass.

Gradients are watched at two gates, operations that hand their inputs on as they are: one before the forward, which all
inputs pass together, one behind it for all outputs. So a hook sees the gradients of all inputs (outputs) at once, each
complete as far as this call of the module goes, whatever else the same tensors are used for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minigrad import engine, observe, scopes
from minigrad.errors import GraphError
from minigrad.hooks import HookHandle
from minigrad.op import Operation
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from minigrad.nn.module import Module

_hook_ids = itertools.count()
_Hooks = dict[int, Callable[..., Any]]


class Hooked:
    """What a Module does around `forward`."""

    _forward_pre_hooks: _Hooks | None = None
    _forward_hooks: _Hooks | None = None
    _full_backward_pre_hooks: _Hooks | None = None
    _full_backward_hooks: _Hooks | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` between the hooks; observers learn which module runs."""
        if observe.observers or observe.interceptors:
            with scopes.running(self):
                return self._run(args, kwargs)
        return self._run(args, kwargs)

    def _run(self, args: Any, kwargs: Any) -> Any:
        for hook in tuple((self._forward_pre_hooks or {}).values()):
            args, kwargs = hook(self, args, kwargs)
        watch = None
        if self._full_backward_hooks or self._full_backward_pre_hooks:
            watch = _GradientWatch(self)
            args = watch.inputs(args)
        output = self.forward(*args, **kwargs)
        for hook in tuple((self._forward_hooks or {}).values()):
            replaced = hook(self, args, kwargs, output)
            output = output if replaced is None else replaced
        return output if watch is None else watch.outputs(output)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> HookHandle:
        """Call `hook(module, args)` before forward; what it returns, if not None, replaces the arguments.

        prepend:     call it before all others there are, not after them.
        with_kwargs: call `hook(module, args, kwargs)` instead, which returns None or (args, kwargs).
        """

        def with_all(module: Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            replaced = hook(module, args, kwargs) if with_kwargs else hook(module, args)
            if replaced is None:
                return args, kwargs
            if not with_kwargs:
                return replaced if isinstance(replaced, tuple) else (replaced,), kwargs
            if not isinstance(replaced, tuple) or len(replaced) != 2:
                raise GraphError(
                    f"a forward pre-hook with kwargs returns None or (args, kwargs), not {replaced!r:.80}"
                )
            return replaced

        return self._add_hook("_forward_pre_hooks", with_all, prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> HookHandle:
        """Call `hook(module, args, output)` after forward; what it returns, if not None, replaces the output.

        prepend:     call it before all others there are, not after them.
        with_kwargs: call `hook(module, args, kwargs, output)` instead.
        """

        def with_all(module: Module, args: tuple, kwargs: dict, output: Any) -> Any:
            return hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)

        return self._add_hook("_forward_hooks", with_all, prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[[Any, tuple], Any], prepend: bool = False
    ) -> HookHandle:
        """Call `hook(module, grad_output)` when the gradients of the module's outputs are there.

        grad_output: a tuple with a gradient for each output, None where none arrived. What the hook returns, if not
                     None, a tuple as long (or a single tensor), replaces it.
        prepend:     call it before all others there are, not after them.
        """
        return self._add_hook("_full_backward_pre_hooks", hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[[Any, tuple, tuple], Any], prepend: bool = False
    ) -> HookHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the module's inputs have been computed.

        grad_input:  a tuple with a gradient for each positional argument, None for one that does not require grad.
                     What the hook returns, if not None, a tuple as long (or a single tensor), replaces it on the way
                     further back. Zeros for an argument that the outputs do not depend on.
        grad_output: a tuple with a gradient for each output, None where none arrived.
        prepend:     call it before all others there are, not after them.

        Where no input requires grad, it is called when the gradients of the outputs are there, with None for the
        inputs. Outputs are seen if forward returns a tensor or a tuple of them. The parameters' gradients are not
        among these: see `Tensor.register_hook`.

        >>> import minigrad as mg
        >>> layer = mg.nn.ReLU()
        >>> handle = layer.register_full_backward_hook(lambda module, gx, gy: print("gx", gx[0], "gy", gy[0]))
        >>> layer(mg.tensor([-1.0, 2.0], requires_grad=True)).sum().backward()
        gx tensor([0., 1.]) gy tensor([1., 1.])
        """
        return self._add_hook("_full_backward_hooks", hook, prepend)

    def _add_hook(self, kind: str, hook: Callable[..., Any], prepend: bool) -> HookHandle:
        hooks: _Hooks | None = getattr(self, kind)
        if hooks is None:
            hooks = {}
            setattr(self, kind, hooks)
        key = next(_hook_ids)
        others = dict(hooks) if prepend else {}
        for other in others:
            del hooks[other]
        hooks[key] = hook
        hooks.update(others)
        return HookHandle(hooks, key)


def _pass_on(xp: Any, *xs: Any, arrived: Callable[[Sequence], Sequence]) -> tuple:
    return xs


def _pass_back(xp: Any, gy: Any, *, arrived: Callable[[Sequence], Sequence]) -> Sequence:
    return arrived(gy if isinstance(gy, tuple) else (gy,))


# Not in the registry: it computes nothing, and its parameter is a function.
_gate = Operation(
    _pass_on,
    name="module_gate",
    formula="y_i = x_i",
    gradient_formula="gx_i = gy_i, or what a module's hook makes of it",
    source="definition",
    samples=lambda draw: [],
    dtypes="move",
    may_view=True,
    flops=0,
)
_gate.gradient(_pass_back)


class _Gate:
    """Values on their way through one gate: which of them are tensors that gradients will come back to."""

    def __init__(self, values: tuple) -> None:
        self.count = len(values)
        self.places: list[int] = []
        if engine.is_grad_enabled():
            self.places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        self.backend: Any = values[self.places[0]].backend if self.places else None
        self.dtypes = [values[i].dtype for i in self.places]

    def forward(self, values: tuple, arrived: Callable[[Sequence], Sequence]) -> tuple:
        """The values behind the gate; `arrived(gradients)` will be called when those of the tensors have come back."""
        if not self.places:
            return values
        behind = dict(enumerate(values))
        behind.update(
            zip(self.places, _gate(*[values[i] for i in self.places], arrived=arrived), strict=True)
        )
        return tuple(behind.values())

    def shown(self, gradients: Sequence) -> tuple:
        """Gradients as hooks see them: a tensor for each value, or None."""
        found: list[Any] = [None] * self.count
        for i, dtype, g in zip(self.places, self.dtypes, gradients, strict=True):
            if g is not None:
                tensor = g if isinstance(g, Tensor) else Tensor._wrap(g, self.backend)
                found[i] = tensor.to(dtype=dtype)  # half precision arrives widened
        return tuple(found)

    def backward(self, shown: tuple, like: Sequence) -> list[Any]:
        """What hooks left, as arrays or tensors, whichever `like` are."""
        gradients = [shown[i] for i in self.places]
        return [g if g is None or isinstance(like[0], Tensor) else g.array for g in gradients]


class _GradientWatch:
    """One call of a module whose gradients are watched."""

    _entrance: _Gate
    _exit: _Gate

    def __init__(self, module: Any) -> None:
        self._module = module
        self._reached: set[int] = set()  # outputs that a gradient has arrived at
        self._grad_output: tuple | None = None

    def inputs(self, args: tuple) -> tuple:
        """The arguments behind the gate."""
        self._entrance = _Gate(args)
        return self._entrance.forward(args, self._input_gradients)

    def outputs(self, output: Any) -> Any:
        """The outputs behind the gate."""
        outputs = output if isinstance(output, tuple) else (output,)
        self._exit = _Gate(outputs)
        outputs = self._exit.forward(outputs, self._output_gradients)
        for number, place in enumerate(self._exit.places):
            outputs[place].register_hook(lambda _, number=number: self._reached.add(number))
        return outputs if isinstance(output, tuple) else outputs[0]

    def _output_gradients(self, gradients: Sequence) -> Sequence:
        grad_output = self._exit.shown([g if n in self._reached else None for n, g in enumerate(gradients)])
        self._reached.clear()
        for hook in tuple((self._module._full_backward_pre_hooks or {}).values()):
            grad_output = _replaced(hook(self._module, grad_output), grad_output, "grad_output")
        if self._entrance.places:
            self._grad_output = grad_output
        else:
            grad_input = self._entrance.shown(())
            for hook in tuple((self._module._full_backward_hooks or {}).values()):
                _replaced(hook(self._module, grad_input, grad_output), grad_input, "grad_input")
        return self._exit.backward(grad_output, gradients)

    def _input_gradients(self, gradients: Sequence) -> Sequence:
        grad_output, self._grad_output = self._grad_output, None
        if grad_output is None:  # no output was a tensor that could be watched
            return gradients
        grad_input = self._entrance.shown(gradients)
        for hook in tuple((self._module._full_backward_hooks or {}).values()):
            grad_input = _replaced(hook(self._module, grad_input, grad_output), grad_input, "grad_input")
        return self._entrance.backward(grad_input, gradients)


def _replaced(returned: Any, before: tuple, name: str) -> tuple:
    """The gradients after a hook, which returned None to leave them, or others in their place."""
    if returned is None:
        return before
    after = returned if isinstance(returned, tuple) else (returned,)
    if len(after) != len(before):
        raise GraphError(f"a backward hook returned {len(after)} gradients for a {name} of {len(before)}")
    for new, old in zip(after, before, strict=True):
        if new is not None and (not isinstance(new, Tensor) or (old is not None and new.shape != old.shape)):
            expected = "None" if old is None else f"a tensor of shape {list(old.shape)} or None"
            raise GraphError(
                f"a backward hook returned {engine.describe(new)} in {name}, where {expected} was expected"
            )
    return after
