"""Compare a simple CNN, plain networks and residual networks of several depths, all given the same training.

    python experiments/compare_architectures.py                                  # MNIST, a few minutes
    python experiments/compare_architectures.py --depths 8 20 44 --epochs 8 --train-images 20000
    python experiments/compare_architectures.py --dataset cifar10 --train-images 10000 --epochs 10
    python experiments/compare_architectures.py --resume                         # go on after a stop or a kill

The same images in the same order, the same optimiser and schedule, the same number of epochs. A plain network is its
residual twin without the shortcuts: where both are deep, what the shortcuts are good for shows. Data are downloaded
when first needed. The report lies in the folder named by --out: open its index.html.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
import models
from common.classifier_report import Judged, judge, pictures
from common.fitting import Fitted, fit
from common.image_sets import IMAGE_SETS, Loaders, Parts, load_parts, make_loaders
from common.options import DEFAULT, add_image_options, add_training_options, new_parser, parse, settings_of
from minigrad import nn
from minigrad.cli import clear_errors, output_folder, positive_int
from minigrad.optim import SGD
from minigrad.train import RunFolder
from minigrad.viz import Section, compared_curves, compared_numbers, compared_predictions, write_report

# Each depth has a pair of colours, the light one for the plain network
PAIRS = [("#a6cee3", "#1f78b4"), ("#b2df8a", "#33a02c"), ("#fdbf6f", "#ff7f00"), ("#cab2d6", "#6a3d9a")]
CNN_COLOUR = "#555555"


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--dataset", choices=list(IMAGE_SETS), default="mnist", help=f"what to learn {DEFAULT}")
    add(
        "--depths",
        type=positive_int,
        nargs="+",
        default=[8, 20, 32],
        metavar="N",
        help="of the plain and residual networks: 6n + 2, four depths at most (default: 8 20 32)",
    )
    add_image_options(parser, train_images=6000, test_images=2000)
    add_training_options(parser, epochs=4, batch_size=64, lr=0.1, out="runs/compare")
    options = parse(parser, arguments)
    if len(options.depths) > len(PAIRS):
        parser.error(f"--depths takes {len(PAIRS)} depths at most")
    options.depths = sorted(set(options.depths))
    return options


def networks(depths: list[int], parts: Parts) -> dict[str, Callable[[], nn.Module]]:
    """How to make each network, by name."""
    _, channels, size, _ = parts.train.inputs.shape
    shape = {"num_classes": len(parts.test.classes or ()), "in_channels": channels}
    found: dict[str, Callable[[], nn.Module]] = {
        "simple CNN": partial(models.simple_cnn, image_size=size, **shape)
    }
    for depth in depths:
        # Halving the images in the first stage, too, takes a quarter of the time, and what is compared stays the same
        make = partial(models.small_resnet, depth, first_stride=2, **shape)
        found[f"plain {depth}"] = partial(make, residual=False)
        found[f"residual {depth}"] = partial(make, residual=True)
    return found


def colours_of(depths: list[int]) -> dict[str, str]:
    """A colour for each network."""
    found = {"simple CNN": CNN_COLOUR}
    for depth, (light, dark) in zip(depths, PAIRS):
        found |= {f"plain {depth}": light, f"residual {depth}": dark}
    return found


class Candidate:
    """A network, how it learnt, what it makes of the test images, and what it costs."""

    def __init__(self, name: str, model: nn.Module, fitted: Fitted, judged: Judged) -> None:
        self.name, self.fitted, self.judged = name, fitted, judged
        self.accuracy = float((judged.predicted == judged.test.targets).mean())
        costs = nn.summary(model, judged.test.inputs.shape[1:])
        self.parameters, self.flops = costs.parameters, costs.flops

    def row(self) -> dict[str, Any]:
        """Its line in the report's table."""
        return {
            "network": self.name,
            "test accuracy": f"{self.accuracy:.2%}",
            "training loss": self.fitted.history.epochs[-1]["train_loss"]
            if self.fitted.history.epochs
            else "",
            "seconds": round(self.fitted.seconds, 1),
            "parameters": self.parameters,
            "FLOPs per image": self.flops,
            "stopped early": self.fitted.stopped or "no",
        }

    def numbers(self) -> dict[str, Any]:
        """What metrics.json says of it."""
        return {
            "test_accuracy": self.accuracy,
            "training_seconds": self.fitted.seconds,
            "parameters": self.parameters,
            "flops_per_image": self.flops,
            "stopped_early": self.fitted.stopped or "no",
            "epochs": self.fitted.history.epochs,
        }


def train_one(
    name: str,
    make: Callable[[], nn.Module],
    loaders: Loaders,
    parts: Parts,
    options: argparse.Namespace,
    out: Path,
) -> Candidate | None:
    """Train one network in a folder of its own; None if it was stopped before it learnt anything."""
    mg.manual_seed(options.seed)
    model = make().to(device=options.device)
    print(f"\n{name}, {model.count_parameters():,} parameters", flush=True)
    folder = output_folder(out / name.replace(" ", "-"))
    own = argparse.Namespace(**vars(options))
    own.resume = options.resume and (folder / "run" / "config.json").exists()
    optimizer = SGD(model.parameters(), lr=options.lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    loaders.train.set_epoch(0)  # the same order of images for each
    fitted = fit(own, model, optimizer, loaders.train, loaders.watched, folder, keep_best=parts.keep_best)
    if not fitted.history.steps["loss"]:
        return None
    candidate = Candidate(name, model, fitted, judge(model, loaders.test, parts.test))
    print(f"{candidate.accuracy:.2%} of {len(parts.test):,} test images, {fitted.seconds:.0f} s", flush=True)
    return candidate


def sections_of(candidates: list[Candidate], colours: dict[str, str], watched: str) -> list[Section]:
    """The table and the figures of the report; `watched` is what was measured after each epoch."""
    colours = {c.name: colours[c.name] for c in candidates}
    histories = {c.name: c.fitted.history for c in candidates}
    bars = {
        "test error (%)": {c.name: 100 * (1 - c.accuracy) for c in candidates},
        "training time (s)": {c.name: c.fitted.seconds for c in candidates},
        "parameters": {c.name: float(c.parameters) for c in candidates},
        "FLOPs per image": {c.name: float(c.flops) for c in candidates},
    }
    images, test = telling_images(candidates), candidates[0].judged.test
    return [
        Section(
            "results",
            "In numbers",
            "FLOPs are those of one image's way forward, a multiply-add counting two.",
            None,
            [c.row() for c in candidates],
        ),
        Section(
            "curves",
            "How they learnt",
            "Light lines are plain networks, dark ones of the same hue their residual twins.",
            compared_curves(
                {name: history.steps["loss"] for name, history in histories.items()},
                {name: history.epochs for name, history in histories.items()},
                colours,
                held_out=watched,
            ),
        ),
        Section("costs", "What they reach, and what they cost", "", compared_numbers(bars, colours)),
        Section(
            "predictions",
            "Where they disagree",
            "Test images about which their probabilities differ most: what they are, and below what each network takes "
            "them for and how sure it is. Red is wrong.",
            compared_predictions(
                pictures(test.inputs[images]),
                test.targets[images].tolist(),
                {c.name: c.judged.probabilities[images] for c in candidates},
                candidates[0].judged.classes,
            ),
        ),
    ]


def telling_images(candidates: list[Candidate], number: int = 10) -> np.ndarray:
    """Test images on which the networks' probabilities lie farthest apart, of as many classes as there are."""
    spread = np.stack([c.judged.probabilities for c in candidates]).var(axis=0).sum(axis=1)
    order = np.argsort(-spread, kind="stable")
    labels = candidates[0].judged.test.targets[order]
    rank = [np.count_nonzero(labels[:i] == label) for i, label in enumerate(labels)]  # within its class
    return order[np.argsort(rank, kind="stable")][:number]


def main(arguments: list[str] | None = None) -> int:
    """Train all, evaluate, report; returns the exit code: 1 if training ended before its time."""
    options = parse_arguments(arguments)
    for depth in options.depths:
        models.small_resnet(depth)  # a depth that there is not is an error now, not after the first network
    mg.manual_seed(options.seed)
    out = output_folder(options.out)
    parts = load_parts(options, IMAGE_SETS[options.dataset].load)
    loaders = make_loaders(parts, options.dataset, options)
    print(parts, flush=True)
    if not options.resume:
        RunFolder.create(out / "run", settings_of(options))
    candidates: list[Candidate] = []
    stopped = ""
    for name, make in networks(options.depths, parts).items():
        candidate = train_one(name, make, loaders, parts, options, out)
        candidates += [] if candidate is None else [candidate]
        if candidate is None or candidate.fitted.stopped.startswith("interrupted"):
            stopped = f"interrupted while training {name}; --resume goes on from there"
            break
        stopped = stopped or (candidate.fitted.stopped and f"{name}: {candidate.fitted.stopped}")
    if not candidates:
        print("nothing was learnt, so there is nothing to report", file=sys.stderr)
        return 1

    best = max(candidates, key=lambda c: c.accuracy)
    title = f"{IMAGE_SETS[options.dataset].title}, {len(candidates)} architectures"
    summary = f"The best, {best.name}, recognises {best.accuracy:.2%} of {len(parts.test):,} test images."
    numbers = {
        "best": best.name,
        "best_test_accuracy": best.accuracy,
        "training_images": len(parts.train),
        "test_images": len(parts.test),
        "training_seconds": sum(c.fitted.seconds for c in candidates),
        "stopped_early": stopped or "no",
        "networks": {c.name: c.numbers() for c in candidates},
    }
    settings = settings_of(options) | {"data": parts.train.name}
    note = f" Stopped early: {stopped}." if stopped else ""
    sections = sections_of(candidates, colours_of(options.depths), parts.watched_name)
    page = write_report(out, title, summary + note, numbers, settings, [], sections)
    print(f"\n{summary}\nreport: {page}")
    return 1 if stopped else 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
