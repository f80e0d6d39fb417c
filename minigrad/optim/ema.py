"""A moving average of the weights, to evaluate with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import dtypes
from minigrad.errors import ArgumentError, StateError
from minigrad.optim.blocks import average, in_blocks
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from minigrad.nn import Module


class ExponentialMovingAverage:
    """An average of the weights over the latest 1 / (1 - decay) or so steps, often better than the weights themselves.

        a = decay a + (1 - decay) w   in each update,   a = w in the first

    model: a Module, whose buffers (running statistics) are copied at each update, not averaged; or tensors, such as
           the parameters of one. The same tensors throughout: it does not see what replaces them.
    decay: how much of the average stays from update to update, in [0, 1].

    Averages of half-precision weights are float32. Raises ArgumentError for a decay out of range and for what holds no
    tensors. Source: Polyak & Juditsky 1992, with exponential weights.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(2, 2)
    >>> ema = ExponentialMovingAverage(layer, decay=0.75)
    >>> for value in (0.0, 4.0):
    ...     _ = layer.bias.detach().fill_(value)
    ...     ema.update()  # after each optimizer.step()
    >>> with ema.average_parameters():
    ...     layer.bias.detach()
    tensor([1., 1.])
    >>> layer.bias.detach()
    tensor([4., 4.])
    """

    def __init__(self, model: Module | Iterable[Tensor], decay: float = 0.999) -> None:
        if not 0 <= decay <= 1:
            raise ArgumentError(f"decay must lie in [0, 1], not {decay!r}")
        self.decay = decay
        self.n_averaged = 0
        self._averaged, self._copied = _tensors_of(model)
        if not self._averaged:
            raise ArgumentError("there is nothing to average: the model has no parameters")
        self.average = {name: _wide_copy(p) for name, p in (self._averaged | self._copied).items()}
        self._swapped = False

    @np.errstate(over="ignore", invalid="ignore")  # infinities and NaNs are values
    def update(self) -> None:
        """Take in the weights as they are now. Raises StateError while the averages stand in the model."""
        if self._swapped:
            raise StateError("the averages stand in the model: leave average_parameters() before update()")
        for name, tensor in (self._averaged | self._copied).items():
            kept, array, xp = self.average[name], tensor.array, tensor.backend.xp
            if self.n_averaged == 0 or name in self._copied:
                kept[...] = array
                continue
            for w, mean, t in in_blocks(xp, 1, array.astype(kept.dtype, copy=False), kept):
                average(xp, mean, w, self.decay, t)
        self.n_averaged += 1

    @contextmanager
    def average_parameters(self) -> Iterator[None]:
        """A context in which the averages, and the buffers of the latest update, stand in the model.

        The weights come back at its end, bit for bit. Raises StateError inside itself.
        """
        if self._swapped:
            raise StateError("the averages stand in the model already")
        tensors = self._averaged | self._copied
        own = {name: tensor.array.copy() for name, tensor in tensors.items()}
        try:
            self._swapped = True
            for name, tensor in tensors.items():
                _overwrite(tensor, self.average[name])
            yield
        finally:
            for name, tensor in tensors.items():
                _overwrite(tensor, own[name])
            self._swapped = False

    def state_dict(self) -> dict[str, Any]:
        """What is needed to go on, in numbers and NumPy arrays: {"n_averaged": count, "average": {name: array}}.

        On the CPU the arrays share memory with it: save or copy them before the next update.
        """
        tensors = self._averaged | self._copied
        host = {name: tensor.backend.to_host(self.average[name]) for name, tensor in tensors.items()}
        return {"n_averaged": self.n_averaged, "average": host}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a copy of a state of the same tensors; a StateError has changed nothing. The decay is not in it."""
        if not isinstance(state_dict, Mapping) or set(state_dict) != {"n_averaged", "average"}:
            raise StateError(
                'the state of an average is a dictionary with the keys "n_averaged" and "average"'
            )
        given = state_dict["average"]
        wrong = [f"{name} is missing" for name in self.average if name not in given]
        wrong += [f"{name} is not expected" for name in given if name not in self.average]
        wrong += [
            f"{name} has shape {list(given[name].shape)}, expected {list(own.shape)}"
            for name, own in self.average.items()
            if name in given and tuple(given[name].shape) != own.shape
        ]
        if wrong:
            raise StateError("the state does not fit these weights: " + "; ".join(wrong))
        for name, tensor in (self._averaged | self._copied).items():
            value = given[name]
            self.average[name][...] = tensor.backend.xp.asarray(
                value.numpy() if isinstance(value, Tensor) else value
            )
        self.n_averaged = int(state_dict["n_averaged"])


def _tensors_of(model: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What is averaged and what is copied, by name; plain tensors are numbered."""
    if hasattr(model, "named_parameters"):
        return dict(model.named_parameters()), dict(model.named_buffers())
    tensors = list(model) if isinstance(model, Iterable) and not isinstance(model, Tensor) else [model]
    for t in tensors:
        if not isinstance(t, Tensor) or t.dtype not in dtypes.FLOATING:
            raise ArgumentError(
                f"an average is made of a module or of floating-point tensors, not of {t!r:.80}"
            )
    return {str(number): t for number, t in enumerate(tensors)}, {}


def _wide_copy(tensor: Tensor) -> Any:
    """A copy of the values in the type that averages are computed in."""
    narrow = tensor.dtype in tensor.backend.storage_only
    return tensor.array.astype(dtypes.float32 if narrow else tensor.dtype)


def _overwrite(tensor: Tensor, array: Any) -> None:
    tensor.detach()._write(lambda own: own.__setitem__(..., array))
