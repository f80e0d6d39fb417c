"""Modules made of modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import count
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn.module import Module
from minigrad.nn.tree import free_name


def _set_child(container: Module, name: Any, module: Any) -> None:
    """Set a module under that name, if it is one and the name is free."""
    kind = type(container).__name__
    if not isinstance(module, Module):
        raise ArgumentError(f"{kind} holds modules, not {type(module).__name__}: {module!r:.80}")
    if not free_name(container, name, Module):
        raise ArgumentError(
            f"a module in {kind} cannot be called {name!r}: it is empty, has a dot or means something else"
        )
    setattr(container, name, module)


class _Ordered(Module):
    """Children in order, by default under the names "0", "1", ..."""

    def append(self, module: Module) -> _Ordered:
        """Add a module at the end; returns the container."""
        taken = {name for name, _ in self._members()}  # a slice may have begun at "1"
        self._set(next(name for name in map(str, count(len(self))) if name not in taken), module)
        return self

    def extend(self, modules: Iterable[Module]) -> _Ordered:
        """Add several modules at the end; returns the container."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self) -> int:
        return len(self._members())

    def __iter__(self) -> Iterator[Module]:
        return iter([child for _, child in self._members()])

    def __getitem__(self, index: int | slice) -> Any:
        """A module by its position, or a container of the same kind of those in a slice, which keep their names."""
        if isinstance(index, slice):
            part = type(self)()
            for name, child in self._members()[index]:
                part._set(name if isinstance(self, Sequential) else str(len(part)), child)
            return part
        return self._members()[self._position(index)][1]

    def __setitem__(self, index: int, module: Module) -> None:
        self._set(self._members()[self._position(index)][0], module)

    def _position(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"this {type(self).__name__} holds {len(self)} modules; there is no number {index}"
            )
        return index

    def _set(self, name: str, module: Any) -> None:
        _set_child(self, name, module)


class Sequential(_Ordered):
    """y = f_n(...f_2(f_1(x))): modules applied one after the other.

    modules: the modules, named "0", "1", ...; or one OrderedDict of them by name.

    `net[i]` is the i-th module, `net[i:j]` a Sequential of some. Raises ArgumentError for what is no module.

    >>> import minigrad as mg
    >>> net = mg.nn.Sequential(mg.nn.Linear(4, 8), mg.nn.ReLU(), mg.nn.Linear(8, 2))
    >>> net(mg.ones(3, 4)).shape
    (3, 2)
    >>> list(net.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], OrderedDict):
            for name, module in modules[0].items():
                self._set(name, module)
        else:
            self.extend(modules)

    def forward(self, x: Any) -> Any:
        """x through all modules."""
        for module in self:
            x = module(x)
        return x


class ModuleList(_Ordered):
    """A list of modules that the tree knows of; it has no forward of its own.

    modules: any iterable of modules, named "0", "1", ...

    >>> import minigrad as mg
    >>> layers = mg.nn.ModuleList(mg.nn.Linear(n, n + 1) for n in (1, 2))
    >>> len(layers), layers[-1].weight.shape
    (2, (3, 2))
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.extend(modules)


class ModuleDict(Module):
    """A dictionary of modules that the tree knows of; it has no forward of its own.

    modules: a dictionary, or pairs of names and modules; the names become part of their parameters' names.

    Names may not hold dots, nor be those of a Module's methods. Raises ArgumentError for such a name or for what is no
    module.

    >>> import minigrad as mg
    >>> heads = mg.nn.ModuleDict({"digit": mg.nn.Linear(4, 10), "colour": mg.nn.Linear(4, 3)})
    >>> heads["colour"](mg.ones(1, 4)).shape, list(heads.keys())
    ((1, 3), ['digit', 'colour'])
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Set all modules of a dictionary, or of pairs of names and modules."""
        for name, module in dict(modules).items():
            self[name] = module

    def _as_dict(self) -> dict[str, Module]:
        return dict(self._members())

    def __getitem__(self, name: str) -> Module:
        return self._as_dict()[name]

    def __setitem__(self, name: str, module: Module) -> None:
        _set_child(self, name, module)

    def __delitem__(self, name: str) -> None:
        self.pop(name)

    def pop(self, name: str) -> Module:
        """Take a module out, and return it. Raises KeyError if there is none of that name."""
        module = self[name]
        delattr(self, name)
        return module

    def clear(self) -> None:
        """Take all modules out."""
        for name in list(self):
            self.pop(name)

    def __len__(self) -> int:
        return len(self._members())

    def __iter__(self) -> Iterator[str]:
        return iter(self._as_dict())

    def __contains__(self, name: object) -> bool:
        return name in self._as_dict()

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._as_dict().keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._as_dict().values()

    def items(self) -> ItemsView[str, Module]:
        """Names and modules."""
        return self._as_dict().items()
