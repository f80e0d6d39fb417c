"""What `bench_ops` measures: operations at shapes that networks use, in minigrad's words and in PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad.nn import functional as F

FLOAT = 4  # bytes
Shape = tuple[int, ...]


class Case(NamedTuple):
    """One row of the table.

    group, name: what it is; the group is what --ops chooses by.
    shapes:      of the floating-point inputs; 4-dimensional ones are laid out in the contestant's memory format.
    ours:        minigrad's function of these inputs;  theirs: (torch, inputs) in PyTorch.
    wanted:      which inputs' gradients are computed; none: the forward.
    flops:       floating-point operations of one call; 0 where memory is what counts.
    traffic:     bytes that must be read and written at least: every input and result once.
    """

    group: str
    name: str
    shapes: tuple[Shape, ...]
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    wanted: tuple[int, ...]
    flops: float
    traffic: float


def few(batch: int, tiny: bool) -> int:
    """The size of a batch; 2 where it only matters whether everything runs."""
    return 2 if tiny else batch


def size(shape: Shape) -> int:
    """Number of elements."""
    return int(np.prod(shape))


CONVOLUTIONS: list[tuple[str, int, int, int, int, int, int, int]] = [
    # network, batch, C, O, size, kernel, stride, groups
    ("ResNet-20", 128, 1, 16, 28, 3, 1, 1),
    ("ResNet-20", 128, 16, 16, 28, 3, 1, 1),
    ("ResNet-20", 128, 16, 32, 28, 3, 2, 1),
    ("ResNet-20", 128, 16, 32, 28, 1, 2, 1),
    ("ResNet-20", 128, 32, 32, 14, 3, 1, 1),
    ("ResNet-20", 128, 32, 64, 14, 3, 2, 1),
    ("ResNet-20", 128, 64, 64, 7, 3, 1, 1),
    ("ResNet-18", 64, 3, 64, 32, 3, 1, 1),
    ("ResNet-18", 64, 64, 64, 32, 3, 1, 1),
    ("ResNet-18", 64, 64, 128, 32, 3, 2, 1),
    ("ResNet-18", 64, 64, 128, 32, 1, 2, 1),
    ("ResNet-18", 64, 128, 128, 16, 3, 1, 1),
    ("ResNet-18", 64, 128, 256, 16, 3, 2, 1),
    ("ResNet-18", 64, 256, 256, 8, 3, 1, 1),
    ("ResNet-18", 64, 256, 512, 8, 3, 2, 1),
    ("ResNet-18", 64, 512, 512, 4, 3, 1, 1),
    ("ImageNet stem", 8, 3, 64, 224, 7, 2, 1),
    ("1x1", 32, 64, 256, 28, 1, 1, 1),
    ("1x1", 32, 256, 64, 28, 1, 1, 1),
    ("depthwise", 32, 64, 64, 28, 3, 1, 64),
    ("depthwise", 32, 256, 256, 14, 3, 2, 256),
]


def convolutions(tiny: bool) -> Iterator[Case]:
    """Forward and both gradients; padding keeps the size, or halves it with the stride."""
    for network, batch, c, o, side, k, stride, groups in CONVOLUTIONS:
        n, padding = few(batch, tiny), k // 2
        out = (side + 2 * padding - k) // stride + 1
        shapes: tuple[Shape, ...] = ((n, c, side, side), (o, c // groups, k, k))
        flops = 2.0 * n * out * out * o * (c // groups) * k * k
        traffic = FLOAT * (size(shapes[0]) + size(shapes[1]) + n * o * out * out)
        how = f"{network}: {c}-{o}, {k}x{k}/{stride}, {side}x{side}, N {n}"
        arguments = (None, stride, padding, 1, groups)
        for what, wanted in (("forward", ()), ("gx", (0,)), ("gw", (1,))):
            if what == "gx" and c in (1, 3):  # nobody asks for the gradient of the images
                continue
            yield Case(
                "conv",
                f"{how}, {what}",
                shapes,
                lambda x, w, a=arguments: F.conv2d(x, w, *a),
                lambda torch, x, w, a=arguments: torch.nn.functional.conv2d(x, w, *a),
                wanted,
                flops,
                traffic,
            )


ACTIVATIONS: list[Shape] = [(128, 16, 28, 28), (128, 64, 7, 7), (64, 64, 32, 32), (64, 512, 4, 4)]


def _both(
    group: str,
    name: str,
    shapes: tuple[Shape, ...],
    ours: Any,
    theirs: Any,
    arrays: tuple[float, float],
    wanted: int = 1,
) -> Iterator[Case]:
    """Forward, and gradient by the first `wanted` inputs.

    arrays: how many arrays of the first input's size each of the two must read and write.
    """
    whole, label = FLOAT * size(shapes[0]), f"{name}, {'x'.join(map(str, shapes[0]))}"
    yield Case(group, f"{label}, forward", shapes, ours, theirs, (), 0, arrays[0] * whole)
    yield Case(group, f"{label}, gradient", shapes, ours, theirs, tuple(range(wanted)), 0, arrays[1] * whole)


def images(tiny: bool) -> Iterator[Case]:
    """Batch norm (in training mode), relu and add."""

    def batch_norm(x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
        return F.batch_norm(x, mean, var, w, b, True)

    def torch_batch_norm(torch: Any, x: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
        return torch.nn.functional.batch_norm(x, mean, var, w, b, True)

    for batch, *rest in ACTIVATIONS:
        shape = (few(batch, tiny), *rest)
        channels = ((shape[1],),) * 4
        yield from _both(
            "batch_norm", "batch norm", (shape, *channels), batch_norm, torch_batch_norm, (2, 3), wanted=3
        )
        yield from _both("relu", "relu", (shape,), F.relu, lambda torch, x: torch.relu(x), (2, 3))
        # The gradient of a sum is gy itself
        label, traffic = f"add, {'x'.join(map(str, shape))}, forward", 3.0 * FLOAT * size(shape)
        add, torch_add = (lambda a, b: a + b), (lambda torch, a, b: a + b)
        yield Case("add", label, (shape, shape), add, torch_add, (), 0, traffic)


def pooling(tiny: bool) -> Iterator[Case]:
    """Maxima and means of windows, and the mean of the whole image."""
    for n, c, side, window in ((128, 16, 28, (2, 2, 0)), (16, 64, 56, (3, 2, 1))):
        shape = (few(n, tiny), c, side, side)
        arrays = (1 + 1 / window[1] ** 2,) * 2
        for kind, ours in (("max", F.max_pool2d), ("avg", F.avg_pool2d)):
            yield from _both(
                "pool",
                f"{kind} pool {window[0]}x{window[0]}/{window[1]}",
                (shape,),
                lambda x, pool=ours, a=window: pool(x, *a),
                lambda torch, x, name=f"{kind}_pool2d", a=window: getattr(torch.nn.functional, name)(x, *a),
                arrays,
            )
    for n, c, side in ((128, 64, 7), (64, 512, 4)):
        shape = (few(n, tiny), c, side, side)
        yield from _both(
            "pool",
            "mean over the image",
            (shape,),
            lambda x: F.adaptive_avg_pool2d(x, 1),
            lambda torch, x: torch.nn.functional.adaptive_avg_pool2d(x, 1),
            (1, 1),
        )


def features(tiny: bool) -> Iterator[Case]:
    """Linear layers, losses, and what transformers are made of."""

    def torch_linear(torch: Any, x: Any, w: Any, b: Any) -> Any:
        return torch.nn.functional.linear(x, w, b)

    for batch, i, o in ((128, 784, 512), (128, 512, 256), (64, 512, 10), (4096, 512, 2048)):
        n = few(batch, tiny)
        shapes: tuple[Shape, ...] = ((n, i), (o, i), (o,))
        flops, traffic = 2.0 * n * i * o, FLOAT * (n * i + o * i + n * o)
        for what, wanted in (("forward", ()), ("gx", (0,)), ("gw and gb", (1, 2))):
            name = f"linear, {i}-{o}, N {n}, {what}"
            yield Case("linear", name, shapes, F.linear, torch_linear, wanted, flops, traffic)
    for batch, classes in ((128, 10), (128, 1000), (4096, 512)):
        shape = (few(batch, tiny), classes)
        labels = np.arange(shape[0]) % shape[1]
        targets = mg.tensor(labels)
        yield from _both(
            "cross_entropy",
            "cross entropy",
            (shape,),
            lambda x, t=targets: F.cross_entropy(x, t),
            lambda torch, x, t=labels: torch.nn.functional.cross_entropy(x, torch.from_numpy(t)),
            (1, 2),
        )
    wide, c = (few(4096, tiny), 512), (512,)
    yield from _both(
        "softmax", "softmax", (wide,), lambda x: F.softmax(x, 1), lambda torch, x: torch.softmax(x, 1), (2, 3)
    )
    yield from _both(
        "layer_norm",
        "layer norm",
        (wide, c, c),
        lambda x, w, b: F.layer_norm(x, c, w, b),
        lambda torch, x, w, b: torch.nn.functional.layer_norm(x, c, w, b),
        (2, 3),
        wanted=3,
    )
    yield from _both("gelu", "gelu", (wide,), F.gelu, lambda torch, x: torch.nn.functional.gelu(x), (2, 3))


def cases(tiny: bool = False) -> list[Case]:
    """All of them; tiny: on 2 images instead of a batch, to see whether everything runs."""
    return [*convolutions(tiny), *images(tiny), *pooling(tiny), *features(tiny)]


# What a call itself costs, forward and backward: on one number
CALLS = [
    Case("call", f"one number, {what}", ((1,),), F.relu, lambda torch, x: torch.relu(x), wanted, 0, 0)
    for what, wanted in (("forward", ()), ("gradient", (0,)))
]
OPTIMIZERS: dict[str, tuple[str, dict[str, float]]] = {
    "SGD with momentum, ResNet-18's parameters": ("SGD", {"lr": 1e-6, "momentum": 0.9}),
    "Adam, ResNet-18's parameters": ("Adam", {"lr": 1e-6}),
}
OPTIMIZER_COSTS = {"SGD": (5, 4), "Adam": (7, 12)}  # arrays read or written, operations on each parameter
GROUPS = [*dict.fromkeys(case.group for case in cases()), "optimizer"]
