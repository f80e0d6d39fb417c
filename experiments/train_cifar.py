"""Train a residual network on the photographs of CIFAR-10 or CIFAR-100 and write a report of what it learnt.

    python experiments/train_cifar.py                                  # CIFAR-10, a network of depth 8
    python experiments/train_cifar.py --train-images 5000 --epochs 2   # a first look
    python experiments/train_cifar.py --model resnet20 --epochs 30 --cutout 8
    python experiments/train_cifar.py --dataset cifar100 --model resnet18 --mixup 0.2 --epochs 30
    python experiments/train_cifar.py --resume                         # go on with a run that was stopped or killed

Data are downloaded when first needed (170 MB). The report lies in the folder named by --out: open its index.html. The
weights lie beside it; Ctrl-C ends training and reports on what was learnt until then.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import minigrad as mg
import models
from common.classifier_report import judge, report
from common.fitting import fit
from common.image_sets import IMAGE_SETS, load_parts, make_loaders
from common.options import (
    DEFAULT,
    add_image_options,
    add_training_options,
    from_zero,
    new_parser,
    parse,
    settings_of,
)
from minigrad import nn
from minigrad.cli import clear_errors, output_folder, positive_int
from minigrad.data import BatchTransform, CutMix, Cutout, MixUp
from minigrad.optim import SGD

RESNETS = [name for name in models.NAMES if name.startswith("resnet")]
IMAGENETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")  # made for images of 224 pixels


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    add = parser.add_argument
    add(
        "--dataset",
        choices=["cifar10", "cifar100"],
        default="cifar10",
        help=f"10 or 100 classes {DEFAULT}",
    )
    add("--model", choices=[*RESNETS, "simple_cnn"], default="resnet8", help=f"the network {DEFAULT}")
    add_image_options(parser)
    add_training_options(parser, epochs=10, batch_size=128, lr=0.1, out="runs/cifar")
    add(
        "--cutout",
        type=positive_int,
        metavar="PIXELS",
        help="blank out a square of this side in each training image",
    )
    mix = parser.add_mutually_exclusive_group()
    mix.add_argument(
        "--mixup",
        type=from_zero,
        metavar="ALPHA",
        help="blend training images, shares drawn from Beta(ALPHA, ALPHA)",
    )
    mix.add_argument(
        "--cutmix", type=from_zero, metavar="ALPHA", help="paste a piece of one training image into another"
    )
    add(
        "--label-smoothing",
        type=from_zero,
        default=0.0,
        metavar="SHARE",
        help=f"of probability given to all classes alike {DEFAULT}",
    )
    return parse(parser, arguments)


def build_model(name: str, num_classes: int) -> nn.Module:
    """The network that --model names, for 32 x 32 colour images."""
    stem = {"stem": "small"} if name in IMAGENETS else {}
    return models.build(name, num_classes=num_classes, in_channels=3, image_size=32, **stem)


def mixing(options: argparse.Namespace, num_classes: int) -> BatchTransform | None:
    """What --mixup or --cutmix asks for."""
    if options.mixup:
        return MixUp(options.mixup, num_classes)
    return CutMix(options.cutmix, num_classes) if options.cutmix else None


def main(arguments: list[str] | None = None) -> int:
    """Train, evaluate, report; returns the exit code: 1 if training ended before its time."""
    options = parse_arguments(arguments)
    mg.manual_seed(options.seed)
    out = output_folder(options.out)
    parts = load_parts(options, IMAGE_SETS[options.dataset].load)
    classes = len(parts.test.classes or ())
    model = build_model(options.model, classes).to(device=options.device)
    extra = [Cutout(options.cutout)] if options.cutout else []
    loaders = make_loaders(
        parts, options.dataset, options, extra=extra, batch_transform=mixing(options, classes)
    )
    title = f"{IMAGE_SETS[options.dataset].title}, {options.model}"
    print(f"{title}, {model.count_parameters():,} parameters\n{parts}", flush=True)

    optimizer = SGD(model.parameters(), lr=options.lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    fitted = fit(
        options,
        model,
        optimizer,
        loaders.train,
        loaders.watched,
        out,
        loss=nn.CrossEntropyLoss(label_smoothing=options.label_smoothing),
        keep_best=parts.keep_best,
    )
    judged = judge(model, loaders.test, parts.test)
    numbers = {"top-5_accuracy": judged.top_accuracy(5), "training_examples": len(parts.train)}
    settings = settings_of(options) | {"data": parts.train.name}
    return report(out, title, model, fitted, judged, settings, numbers, watched=parts.watched_name)


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
