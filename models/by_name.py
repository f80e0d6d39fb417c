"""Models by name, so that an experiment can be told on its command line which one to train."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from minigrad import nn
from minigrad.errors import ArgumentError
from models.cnn import simple_cnn
from models.lenet import lenet5
from models.mlp import mlp
from models.resnet import (
    resnet8,
    resnet14,
    resnet18,
    resnet20,
    resnet32,
    resnet34,
    resnet44,
    resnet50,
    resnet56,
    resnet101,
    resnet110,
    resnet152,
)

_MAKERS: dict[str, Callable[..., nn.Module]] = {
    make.__name__: make
    for make in (
        mlp,
        lenet5,
        simple_cnn,
        resnet8,
        resnet14,
        resnet20,
        resnet32,
        resnet44,
        resnet56,
        resnet110,
        resnet18,
        resnet34,
        resnet50,
        resnet101,
        resnet152,
    )
}

NAMES = tuple(_MAKERS)
"""Names that `build` knows."""


def build(
    name: str, *, num_classes: int = 10, in_channels: int = 3, image_size: int | None = None, **options: Any
) -> nn.Module:
    """The model of that name for images of so many channels, and so many classes.

    name:        one of `models.NAMES`.
    num_classes: length of the output, 1 or more.
    in_channels: channels of the input, 1 or more.
    image_size:  height and width of the input; models that take images of any size do not look at it.
    options:     others, as for the model's own function: `build("resnet20", shortcut="pad")`.

    Raises ArgumentError for an unknown name or option, naming those there are.

    >>> build("resnet20", num_classes=10, in_channels=1).count_parameters()
    272186
    """
    if name not in _MAKERS:
        near = get_close_matches(str(name), NAMES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"no model is called {name!r}; there are {', '.join(NAMES)}{hint}")
    if min(num_classes, in_channels) < 1:
        raise ArgumentError(
            f"{name} needs at least one class and one channel, not {num_classes} and {in_channels}"
        )
    known = inspect.signature(_MAKERS[name]).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        raise ArgumentError(f"{name} has no option {', '.join(unknown)}; its options are {', '.join(known)}")
    if image_size is not None and "image_size" in known:
        options["image_size"] = image_size
    return _MAKERS[name](num_classes=num_classes, in_channels=in_channels, **options)
