"""Training on CIFAR-10 and CIFAR-100, small."""

from __future__ import annotations

import numpy as np
import pytest

from experiments import train_cifar
from minigrad.data import CutMix, Cutout, MixUp
from tests.experiments.conftest import TEST
from tests.experiments.scripts import errors_of, metrics, run
from tests.html_pages import Page

quickly = pytest.mark.usefixtures("without_pictures")


def quick(data, out, *more) -> list:
    return [
        *("--data", data, "--out", out, "--model", "simple_cnn", "--epochs", 1),
        *("--batch-size", 50, "--lr", 0.02, *more),
    ]


def test_cifar10_leaves_a_report(cifar_folder, tmp_path):
    out = tmp_path / "out"
    assert run(train_cifar, *quick(cifar_folder, out, "--model", "resnet8", "--train-images", 100)) == 0
    numbers = metrics(out)
    assert (numbers["training_examples"], numbers["test_examples"]) == (100, TEST)
    assert numbers["parameters"] == 78_042
    confusion = np.array(numbers["confusion"])
    assert confusion.sum(axis=1).tolist() == [TEST // 10] * 10
    assert numbers["top-5_accuracy"] >= numbers["test_accuracy"] == np.trace(confusion) / TEST
    page = Page((out / "index.html").read_text(encoding="utf-8"))
    pictures = {image["src"] for image in page.images}
    assert {"curves.png", "confusion.png", "samples.png", "mistakes.png", "filters.png"} == pictures
    assert numbers["settings"]["data"].startswith("the first 100 of CIFAR-10 train, 200 images from ")
    assert "automobile" in {row[0] for row in page.rows}


def test_cifar100_has_a_hundred_classes(cifar_folder, tmp_path):
    out = tmp_path / "out"
    assert run(train_cifar, *quick(cifar_folder, out, "--dataset", "cifar100")) == 0
    numbers = metrics(out)
    assert np.shape(numbers["confusion"]) == (100, 100)
    assert (out / "confusion.png").exists()
    assert "<h1>CIFAR-100, simple_cnn</h1>" in (out / "index.html").read_text(encoding="utf-8")


@quickly
@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--cutout", 8), Cutout(8)),
        (("--mixup", 0.2), MixUp(0.2, 10)),
        (("--cutmix", 1), CutMix(1.0, 10)),
    ],
)
def test_augmentation_reaches_the_training_images_only(cifar_folder, tmp_path, monkeypatch, more, expected):
    sizes = []
    original = type(expected).__call__

    def count(self, inputs, *rest):
        assert self == expected
        sizes.append(len(inputs))
        return original(self, inputs, *rest)

    monkeypatch.setattr(type(expected), "__call__", count)
    assert run(train_cifar, *quick(cifar_folder, tmp_path / "out", *more)) == 0
    assert sizes == [50] * 4


@quickly
def test_label_smoothing_raises_the_loss(cifar_folder, tmp_path):
    losses = {}
    for smoothing in (0, 0.9):
        out = tmp_path / str(smoothing)
        arguments = quick(cifar_folder, out, "--label-smoothing", smoothing, "--epochs", 2)
        assert run(train_cifar, *arguments) == 0
        losses[smoothing] = metrics(out)["epochs"][-1]["train_loss"]
    assert losses[0.9] > losses[0]


@pytest.mark.parametrize("name", train_cifar.RESNETS[:1] + list(train_cifar.IMAGENETS[:1]))
def test_networks_are_made_for_small_images(name):
    model = train_cifar.build_model(name, 100)
    assert model.conv1.weight.shape[2:] == (3, 3)
    assert model.fc.weight.shape[0] == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "cifar1000"], "argument --dataset: invalid choice: 'cifar1000'"),
        (["--mixup", "0.2", "--cutmix", "1"], "argument --cutmix: not allowed with argument --mixup"),
        (["--mixup", "lots"], "argument --mixup: expected a number from 0, not 'lots'"),
        (["--label-smoothing", "2"], "label_smoothing"),
        (["--cutout", "0"], "argument --cutout: expected a whole number from 1, not '0'"),
        (["--data", "nowhere"], "no CIFAR-10 train files in nowhere"),
    ],
)
def test_wrong_options(cifar_folder, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(train_cifar, "--data", cifar_folder, *arguments) == 2
    assert message in errors_of(capsys)


def test_a_damaged_file(cifar_folder, tmp_path, capsys):
    path = cifar_folder / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert run(train_cifar, *quick(cifar_folder, tmp_path / "out")) == 2
    assert errors_of(capsys).startswith(f"train_cifar.py: error: {path} has ")


def test_help_shows_examples(capsys):
    assert run(train_cifar, "--help") == 0
    text = capsys.readouterr().out
    assert "python experiments/train_cifar.py --model resnet20" in text
    for option in ("dataset", "model", "cutout", "mixup", "cutmix", "validate", "resume", "schedule"):
        assert f"--{option}" in text
