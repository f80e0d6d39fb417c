"""The tree of modules: parameters, buffers and children, found by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from minigrad.errors import ArgumentError, StateError
from minigrad.nn.hooks import Hooked
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from minigrad.nn.module import Module


class Tree(Hooked):
    """What a Module is made of, read off its attributes. (`self` is a Module.)"""

    _buffer_names: tuple[str, ...] = ()
    _transient_names: tuple[str, ...] = ()

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

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Set a tensor that belongs to the module's state but is not learnt; not saved unless `persistent`."""
        self._buffer_names = (*(n for n in self._buffer_names if n != name), name)
        transient = tuple(n for n in self._transient_names if n != name)
        self._transient_names = transient if persistent else (*transient, name)
        setattr(self, name, tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set a parameter under a name that is computed; otherwise the same as setting an attribute."""
        self._register("parameter", name, param, Parameter)

    def add_module(self, name: str, module: Module | None) -> None:
        """Set a child under a name that is computed; otherwise the same as setting an attribute."""
        self._register("module", name, module, Tree)

    register_module = add_module

    def _register(self, word: str, name: str, value: Any, kind: type) -> None:
        if value is not None and not isinstance(value, kind):
            raise ArgumentError(f"{name!r} is to be a {word} or None, not {type(value).__name__}")
        if not free_name(self, name, kind):
            raise ArgumentError(
                f"a {word} of {type(self).__name__} cannot be called {name!r}: it is empty, has a dot "
                "or means something else"
            )
        setattr(self, name, value)

    def _members(self) -> list[tuple[str, Any]]:
        """Children by name; one that is an attribute twice stands there twice."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Tree)]

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

    def _paths(self: Any, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Module]]:
        """This module and all below it, parents first, under every name that they have; with `seen`, once only."""
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield prefix, self
        for name, child in self._members():
            yield from child._paths(join(prefix, name), seen)

    def named_modules(self: Any, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module (under the name `prefix`) and all below it, parents first, each once and under its first name."""
        return self._paths(prefix, set())

    def modules(self) -> Iterator[Module]:
        """`named_modules` without names."""
        return (module for _, module in self.named_modules())

    def get_submodule(self: Any, target: str) -> Module:
        """The module of that dotted name, "" for this one. Raises StateError, naming those there are, if it is none."""
        module = self
        for name in target.split(".") if target else ():
            child = vars(module).get(name)
            if not isinstance(child, Tree):
                known = ", ".join(n for n, _ in module._members()) or "none"
                raise StateError(
                    f"no module {target!r}: {type(module).__name__} has no child {name!r}; it has {known}"
                )
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of that dotted name. Raises StateError, naming those there are, if it is none."""
        return self._get(target, "parameter", Tree._own_parameters)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of that dotted name. Raises StateError, naming those there are, if it is none."""
        return self._get(target, "buffer", Tree._own_buffers)

    def _get(self, target: str, kind: str, members: Callable[[Any], list[tuple[str, Any]]]) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        own = dict(members(module))
        if name not in own:
            known = ", ".join(own) or "none"
            raise StateError(
                f"no {kind} {target!r}: {type(module).__name__} has no {kind} {name!r}; it has {known}"
            )
        return own[name]

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its dotted name; one that several modules share comes once, under its first name.

        recurse: False for this module's own only.
        """
        return self._named(Tree._own_parameters, prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """`named_parameters` without names."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def count_parameters(self, only_trainable: bool = False) -> int:
        """How many numbers the parameters hold, shared ones counted once; without frozen ones if `only_trainable`."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not only_trainable)

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its dotted name, each once."""
        return self._named(Tree._own_buffers, prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """`named_buffers` without names."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(
        self, members: Callable[[Any], list[tuple[str, Any]]], prefix: str, recurse: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in members(module):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield join(path, name), value


def free_name(module: Any, name: Any, kind: type) -> bool:
    """Whether `name` may be given to a member of that kind: it is new, holds None, or such a member."""
    if not isinstance(name, str) or not name or "." in name:
        return False
    own = vars(module)
    return not hasattr(module, name) or (name in own and (own[name] is None or isinstance(own[name], kind)))


def join(path: str, name: str) -> str:
    """The dotted name of a member of the module at `path`."""
    return f"{path}.{name}" if path else name
