"""Module: a node in a named tree of parameters, buffers and other modules."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from minigrad import dtypes, engine
from minigrad.errors import StateError
from minigrad.nn.parameter import Parameter
from minigrad.tensor import HookHandle, Tensor

_hook_ids = itertools.count()


class Module:
    """Base of all layers and models. A subclass sets its parts as attributes and defines `forward`.

    The tree is read off the attributes: a Parameter is a parameter, a Module a child, and a tensor given to `register_buffer` a buffer.
    Names are the dotted paths of attributes (`layer1.0.conv1.weight`), as in PyTorch.

    >>> import minigrad as mg
    >>> class Affine(mg.nn.Module):
    ...     def __init__(self):
    ...         self.scale = mg.nn.Parameter(mg.ones(3))
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> [name for name, _ in Affine().named_parameters()]
    ['scale']
    """

    training: bool = True
    _buffer_names: tuple[str, ...] = ()
    _transient_names: tuple[str, ...] = ()
    _forward_hooks: dict[int, Callable] | None = None
    _forward_pre_hooks: dict[int, Callable] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise TypeError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` between the hooks."""
        for hook in tuple((self._forward_pre_hooks or {}).values()):
            replaced = hook(self, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
        output = self.forward(*args, **kwargs)
        for hook in tuple((self._forward_hooks or {}).values()):
            replaced = hook(self, args, output)
            output = output if replaced is None else replaced
        return output

    # ------------------------------------------------ the tree

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set a tensor that belongs to the module's state but is not learnt; not saved unless `persistent`."""
        self._buffer_names = (*(n for n in self._buffer_names if n != name), name)
        self._transient_names = tuple(n for n in self._transient_names if n != name) + (() if persistent else (name,))
        setattr(self, name, tensor)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        """`named_children` without names."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module (under the name `prefix`) and all below it, each once, parents first."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module
                stack += [(f"{name}.{n}" if name else n, child) for n, child in reversed(list(module.named_children()))]

    def modules(self) -> Iterator[Module]:
        """`named_modules` without names."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, path: str) -> Module:
        """The module of that dotted name."""
        found = dict(self.named_modules()).get(path)
        if found is None:
            raise StateError(f"{type(self).__name__} has no module {path!r}; it has {', '.join(n for n, _ in self.named_modules() if n)}")
        return found

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its dotted name, each once."""
        return self._named(lambda module: ((n, v) for n, v in vars(module).items() if isinstance(v, Parameter)), prefix)

    def parameters(self) -> Iterator[Parameter]:
        """`named_parameters` without names."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its dotted name, each once."""
        return self._named(lambda module: ((n, getattr(module, n)) for n in module._buffer_names), prefix)

    def buffers(self) -> Iterator[Tensor]:
        """`named_buffers` without names."""
        return (buffer for _, buffer in self.named_buffers())

    def _named(self, members: Callable[[Module], Iterator[tuple[str, Any]]], prefix: str) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, value in members(module):
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    # ------------------------------------------------ state

    def state_dict(self) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by name, detached; they share memory with the module."""
        state: OrderedDict[str, Tensor] = OrderedDict()
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                buffer = name in module._buffer_names and name not in module._transient_names
                if isinstance(value, Tensor) and (isinstance(value, Parameter) or buffer):
                    state[f"{path}.{name}" if path else name] = value.detach()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Copy values into the parameters and buffers of these names; nothing is copied unless everything fits.

        Raises StateError naming what is missing, unexpected (both only if `strict`) or of another shape.
        """
        own = self.state_dict()
        given = {name: value if isinstance(value, Tensor) else Tensor(value) for name, value in state_dict.items()}
        wrong = [
            f"{name} has shape {list(given[name].shape)}, expected {list(own[name].shape)}"
            for name in own
            if name in given and given[name].shape != own[name].shape
        ]
        if strict:
            wrong += [f"{name} is missing" for name in own if name not in given]
            wrong += [f"{name} is not expected" for name in given if name not in own]
        if wrong:
            raise StateError(f"the state does not fit {type(self).__name__}: " + "; ".join(wrong))
        for name, target in own.items():
            if name in given:
                target.copy_(given[name].detach())

    # ------------------------------------------------ modes, placement, gradients

    def train(self, mode: bool = True) -> Module:
        """Set training mode (batch norm uses batch statistics, dropout drops) here and below."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Module:
        """Set evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Freeze (False) or unfreeze every parameter."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def to(self, *targets: Any, dtype: Any = None, device: Any = None) -> Module:
        """Move parameters and buffers to a device, floating-point ones to a dtype. They stay the same objects, so optimisers keep them."""
        with engine.set_grad_enabled(False):
            for tensor in itertools.chain(self.parameters(), self.buffers()):
                moved = tensor.to(*targets, dtype=dtype, device=device)
                if moved.dtype != tensor.dtype and tensor.dtype not in dtypes.FLOATING:
                    moved = tensor.to(device=moved.backend)  # a counter stays an integer
                tensor.set_(moved)
                if tensor.grad is not None:
                    tensor.grad.set_(tensor.grad.to(dtype=moved.dtype, device=moved.backend))
        return self

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every module of the tree, children first."""
        for module in reversed(list(self.modules())):
            fn(module)
        return self

    # ------------------------------------------------ hooks and text

    def register_forward_pre_hook(self, hook: Callable[[Module, tuple], Any]) -> HookHandle:
        """Call `hook(module, args)` before forward; what it returns, if not None, replaces the arguments."""
        self._forward_pre_hooks = {} if self._forward_pre_hooks is None else self._forward_pre_hooks
        self._forward_pre_hooks[key := next(_hook_ids)] = hook
        return HookHandle(self._forward_pre_hooks, key)

    def register_forward_hook(self, hook: Callable[[Module, tuple, Any], Any]) -> HookHandle:
        """Call `hook(module, args, output)` after forward; what it returns, if not None, replaces the output."""
        self._forward_hooks = {} if self._forward_hooks is None else self._forward_hooks
        self._forward_hooks[key := next(_hook_ids)] = hook
        return HookHandle(self._forward_hooks, key)

    def extra_repr(self) -> str:
        """What stands between the parentheses of a layer's repr."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        body = "\n  ".join([*([self.extra_repr()] if self.extra_repr() and lines else []), *lines])
        return f"{type(self).__name__}(\n  {body}\n)" if lines else f"{type(self).__name__}({self.extra_repr()})"
