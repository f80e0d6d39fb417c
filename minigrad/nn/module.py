"""Module: a node in a named tree of parameters, buffers and other modules."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from minigrad import dtypes, engine
from minigrad.errors import DtypeError, StateError
from minigrad.nn.parameter import Parameter
from minigrad.tensor import HookHandle, Tensor

_hook_ids = itertools.count()


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` returns: names that the state lacked, and names that the module does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base of all layers and models. A subclass sets its parts as attributes and defines `forward`.

    The tree is read off the attributes: a Parameter is a parameter, a Module a child, and a tensor given to
    `register_buffer` a buffer. Names are the dotted paths of attributes (`layer1.0.conv1.weight`), as in PyTorch.
    Modules in a plain list or dictionary are not seen: use `ModuleList` or `Sequential`. A subclass need not call
    `super().__init__()`.

    training: whether it is in training mode, see `train`.

    >>> import minigrad as mg
    >>> class Affine(mg.nn.Module):
    ...     def __init__(self):
    ...         self.scale = mg.nn.Parameter(mg.ones(3))
    ...
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

    def __setattr__(self, name: str, value: Any) -> None:
        if (
            isinstance(value, Tensor)
            and not isinstance(value, Parameter)
            and isinstance(vars(self).get(name), Parameter)
        ):
            raise StateError(
                f"{name} of {type(self).__name__} is a parameter, and a plain tensor in its place would be neither "
                f"learnt nor saved: assign mg.nn.Parameter(tensor), or copy into it: .{name}.data.copy_(tensor)"
            )
        super().__setattr__(name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

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
        transient = tuple(n for n in self._transient_names if n != name)
        self._transient_names = transient if persistent else (*transient, name)
        setattr(self, name, tensor)

    def _members(self) -> list[tuple[str, Module]]:
        """Children by name; one that is an attribute twice stands there twice."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def _own_parameters(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Parameter)]

    def _own_buffers(self) -> list[tuple[str, Any]]:
        found = [(name, vars(self).get(name)) for name in self._buffer_names]
        return [(name, value) for name, value in found if isinstance(value, Tensor)]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one, each once."""
        seen: set[int] = set()
        for name, child in self._members():
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """`named_children` without names."""
        return (child for _, child in self.named_children())

    def _paths(self, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Module]]:
        """This module and all below it, parents first, under every name that they have; with `seen`, once only."""
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield prefix, self
        for name, child in self._members():
            yield from child._paths(_join(prefix, name), seen)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module (under the name `prefix`) and all below it, parents first, each once and under its first name."""
        return self._paths(prefix, set())

    def modules(self) -> Iterator[Module]:
        """`named_modules` without names."""
        return (module for _, module in self.named_modules())

    def get_submodule(self, target: str) -> Module:
        """The module of that dotted name, "" for this one. Raises StateError, naming those there are, if it is none."""
        module = self
        for name in target.split(".") if target else ():
            child = vars(module).get(name)
            if not isinstance(child, Module):
                known = ", ".join(n for n, _ in module._members()) or "none"
                raise StateError(
                    f"no module {target!r}: {type(module).__name__} has no child {name!r}; it has {known}"
                )
            module = child
        return module

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its dotted name; one that several modules share comes once, under its first name."""
        return self._named(Module._own_parameters, prefix)

    def parameters(self) -> Iterator[Parameter]:
        """`named_parameters` without names."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its dotted name, each once."""
        return self._named(Module._own_buffers, prefix)

    def buffers(self) -> Iterator[Tensor]:
        """`named_buffers` without names."""
        return (buffer for _, buffer in self.named_buffers())

    def _named(
        self, members: Callable[[Module], list[tuple[str, Any]]], prefix: str
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, value in members(module):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield _join(path, name), value

    # ------------------------------------------------ state

    def state_dict(self) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by name, detached; they share memory with the module.

        What is shared between modules stands under each of its names.
        """
        state: OrderedDict[str, Tensor] = OrderedDict()
        for path, module in self._paths():
            buffers = [(n, v) for n, v in module._own_buffers() if n not in module._transient_names]
            for name, value in module._own_parameters() + buffers:
                state[_join(path, name)] = value.detach()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy values into the parameters and buffers of these names; nothing is copied unless everything fits.

        state_dict: tensors or NumPy arrays by name, as `state_dict()` and `mg.load` give them; cast to the module's
                    dtypes.
        strict:     whether every name must be there and no other; shapes must agree in any case.

        Returns the names that were missing and those that were not expected. Raises StateError naming what does not
        fit.
        """
        if not isinstance(state_dict, Mapping):
            raise StateError(
                f"load_state_dict takes tensors by name, not {type(state_dict).__name__}; "
                "read a file with mg.load(path)"
            )
        own = self.state_dict()
        given = {name: v if isinstance(v, Tensor) else Tensor(v) for name, v in state_dict.items()}
        missing = [name for name in own if name not in given]
        unexpected = [name for name in given if name not in own]
        wrong = [
            f"{name} has shape {list(given[name].shape)}, expected {list(own[name].shape)}"
            for name in own
            if name in given and given[name].shape != own[name].shape
        ]
        if strict:
            wrong += [f"{name} is missing" for name in missing]
            wrong += [f"{name} is not expected" for name in unexpected]
        if wrong:
            raise StateError(f"the state does not fit {type(self).__name__}: " + "; ".join(wrong))
        for name, target in own.items():
            if name in given:
                target.copy_(given[name].detach())
        return IncompatibleKeys(missing, unexpected)

    # ------------------------------------------------ modes, placement, gradients

    def train(self, mode: bool = True) -> Module:
        """Set training mode (batch norm uses batch statistics, dropout drops) here and below; returns the module."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Module:
        """Set evaluation mode here and below; returns the module."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Freeze (False) or unfreeze every parameter; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach().zero_()

    def to(self, *targets: Any, dtype: Any = None, device: Any = None) -> Module:
        """Move parameters, buffers and gradients to a device, floating-point ones to a dtype; returns the module.

        Called as `Tensor.to`. They stay the same objects, so optimisers keep them. Raises DtypeError for a dtype
        that is not floating point, in which nothing could be learnt.
        """
        with engine.no_grad():
            for tensor in itertools.chain(self.parameters(), self.buffers()):
                moved = tensor.to(*targets, dtype=dtype, device=device)
                if moved.dtype not in dtypes.FLOATING and moved.dtype != tensor.dtype:
                    raise DtypeError(
                        f"a module can be converted to floating-point types only, not to {moved.dtype}"
                    )
                if tensor.dtype not in dtypes.FLOATING:
                    moved = tensor.to(device=moved.backend)  # a counter stays an integer
                tensor.set_(moved)
                if tensor.grad is not None:
                    tensor.grad = tensor.grad.detach().to(dtype=moved.dtype, device=moved.backend)
        return self

    def float(self) -> Module:
        """Floating-point parameters and buffers as float32; returns the module."""
        return self.to(dtype=dtypes.float32)

    def double(self) -> Module:
        """Floating-point parameters and buffers as float64; returns the module."""
        return self.to(dtype=dtypes.float64)

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every module of the tree, children before their parent; returns the module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
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
        own = self.extra_repr()
        lines = [f"({name}): " + repr(child).replace("\n", "\n  ") for name, child in self._members()]
        if not lines:
            return f"{type(self).__name__}({own})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([own, *lines] if own else lines) + "\n)"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
