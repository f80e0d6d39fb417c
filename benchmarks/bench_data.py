"""Images per second that a loader delivers, augmentation by augmentation, beside those that training uses up.

    python benchmarks/bench_data.py                            # a minute or two
    python benchmarks/bench_data.py --sizes cifar --seconds 1
    python benchmarks/bench_data.py --out benchmarks/results/data.json

Each row is a whole loader: gathering batches of 128 images of bytes, the augmentation, scaling, and making tensors,
with no thread beside, with one and with two. Below, a small residual network (depth 8) takes the same batches: how many
images a second it trains on alone, and what part of the time it then waits for data. Contestants take turns in each
round, since the speed of a shared machine drifts; medians are shown. Threads of the computation: as OMP_NUM_THREADS
says, or all cores.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from bench_train_step import torch_step

import minigrad as mg
import models
from minigrad import data, ops
from minigrad.cli import clear_errors, positive_float, positive_int
from minigrad.data import DataLoader
from minigrad.machine import processor, usable_cores

BATCH = 128
SIZES = {"mnist": (1, 28, 28), "cifar": (3, 32, 32)}
WORKERS = (0, 1, 2)


def pipelines(channels: int, size: int) -> dict[str, dict[str, Any]]:
    """What is measured, by name: the loader's transforms for images with these channels and this height and width."""
    scale: list[data.Transform] = [data.ToFloat(), data.Normalize(0.5, 0.25)]
    on_bytes: dict[str, data.Transform] = {
        "RandomShift(2)": data.RandomShift(2),
        "RandomCrop(padding=4)": data.RandomCrop(size, padding=4),
        "RandomCrop(padding=4, reflect)": data.RandomCrop(size, padding=4, padding_mode="reflect"),
        "RandomHorizontalFlip": data.RandomHorizontalFlip(),
        "RandomVerticalFlip": data.RandomVerticalFlip(),
        "CenterCrop": data.CenterCrop(size - 4),
        "Resize": data.Resize(size + 4),
        "Cutout(8)": data.Cutout(8),
        "RandomErasing": data.RandomErasing(),
    }
    on_floats: dict[str, data.Transform] = {
        "RandomRotation(15)": data.RandomRotation(15),
        "RandomAffine(10, shift, scale)": data.RandomAffine(10, (0.1, 0.1), (0.9, 1.1)),
        "ColorJitter(brightness, contrast)": data.ColorJitter(0.4, 0.4),
    }
    if channels == 3:
        on_floats["ColorJitter(all four)"] = data.ColorJitter(0.4, 0.4, 0.4, 0.1)
    mixtures = {"MixUp": data.MixUp(0.2, 10), "CutMix": data.CutMix(1.0, 10)}
    table: dict[str, dict[str, Any]] = {"nothing": {}, "Normalize": {"transform": data.Compose(scale)}}
    for name, transform in on_bytes.items():
        table[name] = {"transform": data.Compose([transform, *scale])}
    for name, transform in on_floats.items():
        table[name] = {"transform": data.Compose([scale[0], transform, scale[1]])}
    for name, mixture in mixtures.items():
        table[name] = {"transform": data.Compose(scale), "batch_transform": mixture}
    usual: list[data.Transform] = [data.RandomCrop(size, padding=4), data.RandomHorizontalFlip(), *scale]
    table["crop, flip, normalise (usual)"] = {"transform": data.Compose(usual)}
    return table


def endless(loader: DataLoader) -> Iterator[Any]:
    """Batches of one epoch after the other."""
    return itertools.chain.from_iterable(itertools.repeat(loader))


def delivered(loader: DataLoader, seconds: float) -> float:
    """Images per second of a loader, over about that time, its first batches left out."""
    batches = endless(loader)
    for _ in range(
        2 + 2 * loader.num_workers
    ):  # what threads had ready before the clock began must not count
        next(batches)
    images, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        images += len(next(batches)[0])
    return images / (time.perf_counter() - began)


def trainer(channels: int) -> Callable[[Any, Any], None]:
    """One step of training of a residual network of depth 8 on a batch."""
    mg.manual_seed(0)
    model = models.resnet8(10, channels)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(inputs: Any, targets: Any) -> None:
        optimizer.zero_grad()
        ops.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return step


def trained(step: Callable[[Any, Any], None], loader: DataLoader, steps: int) -> tuple[float, float]:
    """Images per second of training fed by a loader, and the share of the time spent waiting for it."""
    batches = endless(loader)
    step(*next(batches))
    images, waited, began = 0, 0.0, time.perf_counter()
    for _ in range(steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        step(*batch)
        images += len(batch[0])
    seconds = time.perf_counter() - began
    return images / seconds, waited / seconds


def alone(step: Callable[[], Any], steps: int) -> float:
    """Images per second of steps on one batch that is there already."""
    step()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * BATCH / (time.perf_counter() - began)


def consumption(
    dataset: data.ArrayDataset, usual: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """Images per second of training: by itself, in PyTorch where it is installed, and fed by loaders."""
    channels = dataset.inputs.shape[1]
    step = trainer(channels)
    held = next(iter(DataLoader(dataset, BATCH, **usual)))
    rates: dict[str, list[float]] = {"alone": []}
    waits: dict[str, list[float]] = {}
    contestants: dict[str, Callable[[], Any]] = {"alone": lambda: step(*held)}
    torch: Any = None
    with suppress(ImportError):
        import torch
    if torch is not None:
        images, labels = (array.numpy().copy() for array in held)
        contestants["PyTorch alone"] = torch_step(
            torch, lambda: models.resnet8(10, channels), images, labels, True
        )
        rates["PyTorch alone"] = []
    loaders = {
        f"fed, {n} threads": DataLoader(dataset, BATCH, True, True, 0, num_workers=n, **usual)
        for n in WORKERS
    }
    for _ in range(options.rounds):
        for name, run in contestants.items():
            rates[name].append(alone(run, options.steps))
        for name, loader in loaders.items():
            rate, waited = trained(step, loader, options.steps)
            rates.setdefault(name, []).append(rate)
            waits.setdefault(name, []).append(waited)
    return {
        "images_per_second": {name: statistics.median(values) for name, values in rates.items()},
        "waiting": {name: statistics.median(values) for name, values in waits.items()},
    }


def measure(shape: tuple[int, int, int], options: argparse.Namespace) -> dict[str, Any]:
    """Everything for one size of images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64 * BATCH, *shape), np.uint8)
    dataset = data.ArrayDataset(images, rng.integers(0, 10, len(images)), name="noise")
    table = pipelines(shape[0], shape[1])
    rates: dict[str, dict[int, list[float]]] = {name: {n: [] for n in WORKERS} for name in table}
    for _ in range(options.rounds):
        for name, transforms in table.items():
            for n in WORKERS:
                loader = DataLoader(dataset, BATCH, True, True, seed=0, num_workers=n, **transforms)
                rates[name][n].append(delivered(loader, options.seconds))
    medians = {name: {n: statistics.median(values) for n, values in by.items()} for name, by in rates.items()}
    usual = table["crop, flip, normalise (usual)"]
    return {"loader_images_per_second": medians, "training": consumption(dataset, usual, options)}


def show(size: str, results: dict[str, Any]) -> None:
    """Print one size's numbers."""
    channels, height, width = SIZES[size]
    training = results["training"]["images_per_second"]
    print(
        f"\n{height} x {width} x {channels}, batches of {BATCH}: images per second delivered, and times training's need"
    )
    print(f"  {'':<34}" + "".join(f"{f'{n} threads':>20}" for n in WORKERS))
    for name, rates in results["loader_images_per_second"].items():
        cells = (f"{rate:,.0f} ({rate / training['alone']:.0f}x)" for rate in rates.values())
        print(f"  {name:<34}" + "".join(f"{cell:>20}" for cell in cells))
    print("  training, depth 8:")
    for name, rate in training.items():
        waiting = results["training"]["waiting"].get(name)
        waits = "" if waiting is None else f"   {100 * waiting:5.2f} % of the time waiting for data"
        print(f"    {name:<32}{rate:>12,.0f}{waits}")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print tables, write JSON if asked; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--seconds", type=positive_float, default=0.04, help="for each loader in each round")
    parser.add_argument("--steps", type=positive_int, default=4, help="of training in each round")
    parser.add_argument("--rounds", type=positive_int, default=3)
    parser.add_argument("--out", type=Path, default=None, help="also write the numbers to this JSON file")
    options = parser.parse_args(arguments)
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    versions = {"python": platform.python_version(), "numpy": np.__version__, "minigrad": mg.__version__}
    results: dict[str, Any] = {
        "machine": {"processor": processor(), "cores": usable_cores(), "threads": threads},
        "versions": versions,
        "sizes": {},
    }
    for size in options.sizes:
        results["sizes"][size] = measure(SIZES[size], options)
        show(size, results["sizes"][size])
    if options.out is not None:
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
