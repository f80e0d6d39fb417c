"""How long one training step takes (forward, backward, SGD with momentum), beside PyTorch where it is installed.

    python benchmarks/bench_train_step.py                         # ResNet-20 on 28x28x1 and ResNet-18 on 32x32x3
    python benchmarks/bench_train_step.py --workloads resnet8 --rounds 20
    python benchmarks/bench_train_step.py --out benchmarks/results/train_step.json

The contestants take turns within each round, since the speed of a shared machine drifts; medians over the rounds are
compared. Threads: as OMP_NUM_THREADS says, or all cores. PyTorch (`pip install -e ".[oracle]"`) runs the same network,
eager, in both of its memory formats.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
import models
from minigrad.cli import clear_errors, positive_int
from minigrad.machine import processor, usable_cores
from minigrad.nn import functional as F

WORKLOADS: dict[str, tuple[Callable[[], Any], tuple[int, ...], int]] = {
    "resnet8": (lambda: models.resnet8(10, 1), (128, 1, 28, 28), 10),
    "resnet20": (lambda: models.resnet20(10, 1), (128, 1, 28, 28), 10),
    "resnet18": (lambda: models.resnet18(10, 3, stem="small"), (64, 3, 32, 32), 10),
    "cnn": (lambda: models.simple_cnn(10, 1), (128, 1, 28, 28), 10),
}


def minigrad_step(make: Callable[[], Any], images: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """One training step in minigrad, as a function that returns the loss."""
    mg.manual_seed(0)
    model = make()
    optimizer = mg.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    inputs, targets = mg.tensor(images), mg.tensor(labels)

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_twin(torch: Any, model: Any) -> Any:
    """The same network in PyTorch, layer for layer, with the same weights."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, block: Any) -> None:
            super().__init__()
            self.conv1, self.bn1, self.conv2, self.bn2 = (
                twin(m) for m in (block.conv1, block.bn1, block.conv2, block.bn2)
            )
            self.downsample = None if block.downsample is None else twin(block.downsample)

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return torch.relu(y + (x if self.downsample is None else self.downsample(x)))

    def twin(module: Any) -> Any:
        kind = type(module).__name__
        if kind == "Conv2d":
            args = (
                module.in_channels,
                module.out_channels,
                module.kernel_size,
                module.stride,
                module.padding,
            )
            return nn.Conv2d(*args, bias=module.bias is not None)
        if kind == "BatchNorm2d":
            return nn.BatchNorm2d(module.num_features)
        if kind == "Linear":
            return nn.Linear(module.in_features, module.out_features)
        if kind == "BasicBlock":
            return Block(module)
        if kind == "Sequential":
            return nn.Sequential(*(twin(m) for m in module))
        return nn.Identity()

    if isinstance(model, models.SimpleCNN):
        pool = nn.MaxPool2d(2)
        layers = [
            model.conv1,
            model.bn1,
            "relu",
            "pool",
            model.conv2,
            model.bn2,
            "relu",
            "pool",
            "flat",
            model.fc1,
            "relu",
            "drop",
            model.fc2,
        ]
    else:
        pool = nn.Identity()
        stages = [getattr(model, f"layer{i + 1}") for i in range(model.stages)]
        layers = [model.conv1, model.bn1, "relu", *stages, "mean", "flat", model.fc]
    named = {
        "relu": nn.ReLU(),
        "pool": pool,
        "flat": nn.Flatten(),
        "drop": nn.Dropout(0.25),
        "mean": nn.AdaptiveAvgPool2d(1),
    }
    net = nn.Sequential(*(named[m] if isinstance(m, str) else twin(m) for m in layers))
    ours, theirs = list(model.state_dict().values()), list(net.state_dict().values())
    for source, target in zip(ours, theirs, strict=True):
        target.copy_(torch.from_numpy(np.array(source.numpy())))
    return net


def torch_step(
    torch: Any, make: Callable[[], Any], images: np.ndarray, labels: np.ndarray, channels_last: bool
) -> Callable[[], float]:
    """One training step in PyTorch, as a function that returns the loss."""
    mg.manual_seed(0)
    net = torch_twin(torch, make())
    inputs, targets = torch.from_numpy(images), torch.from_numpy(labels)
    if channels_last:
        net, inputs = net.to(memory_format=torch.channels_last), inputs.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def measure(
    contestants: dict[str, Callable[[], float]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each contestant in each round, after one step to warm up; and the losses of that first step."""
    first = {name: step() for name, step in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, step in contestants.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    return seconds, first


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table, write JSON if asked; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=["resnet20", "resnet18"])
    parser.add_argument("--rounds", type=positive_int, default=7)
    parser.add_argument("--out", type=Path, default=None, help="also write the numbers to this JSON file")
    options = parser.parse_args(arguments)
    try:
        import torch
    except ImportError:
        torch = None
        print('PyTorch is not installed: pip install -e ".[oracle]" adds it to the comparison')
    results: dict[str, Any] = {
        "machine": {
            "processor": processor(),
            "cores": usable_cores(),
            "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        },
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "minigrad": mg.__version__,
            "torch": getattr(torch, "__version__", None),
        },
        "workloads": {},
    }
    for workload in options.workloads:
        make, shape, classes = WORKLOADS[workload]
        rng = np.random.default_rng(0)
        images, labels = rng.standard_normal(shape, dtype=np.float32), rng.integers(0, classes, shape[0])
        contestants = {"minigrad": minigrad_step(make, images, labels)}
        if torch is not None:
            contestants["PyTorch, NCHW"] = torch_step(torch, make, images, labels, channels_last=False)
            contestants["PyTorch, channels last"] = torch_step(
                torch, make, images, labels, channels_last=True
            )
        seconds, losses = measure(contestants, options.rounds)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        best = min((m for name, m in medians.items() if name != "minigrad"), default=None)
        size = " x ".join(map(str, (*shape[2:], shape[1])))
        print(f"\n{workload}, batch {shape[0]}, {size}: ms a step, median of {options.rounds}")
        for name, median in medians.items():
            ratio = f"{median / best:8.2f} of PyTorch's better" if best and name == "minigrad" else ""
            print(f"  {name:<24}{1000 * median:9.1f}  (first loss {losses[name]:.4f}){ratio}")
        results["workloads"][workload] = {
            "median_ms": {n: 1000 * m for n, m in medians.items()},
            "first_loss": losses,
            "rounds": options.rounds,
        }
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
