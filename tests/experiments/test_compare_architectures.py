"""The comparison of architectures, small."""

from __future__ import annotations

import numpy as np
import pytest

from experiments import compare_architectures
from tests.experiments.conftest import TEST
from tests.experiments.scripts import errors_of, metrics, run, spoil, weights
from tests.html_pages import Page

NAMES = ["simple CNN", "plain 8", "residual 8"]


def quick(data, out, *more) -> list:
    return [
        *("--data", data, "--out", out, "--depths", 8, "--epochs", 1),
        *("--batch-size", 32, "--train-images", 96, *more),
    ]


def test_the_report_has_all_networks(idx_folder, tmp_path):
    assert run(compare_architectures, *quick(idx_folder, tmp_path)) == 0
    numbers = metrics(tmp_path)
    assert list(numbers["networks"]) == NAMES
    plain, residual = numbers["networks"]["plain 8"], numbers["networks"]["residual 8"]
    assert residual["parameters"] - plain["parameters"] == 78_042 - 75_002  # the shortcuts' projections
    assert residual["flops_per_image"] > plain["flops_per_image"] > 10 * plain["parameters"]
    best = max(numbers["networks"], key=lambda name: numbers["networks"][name]["test_accuracy"])
    assert numbers["best"] == best
    for network in numbers["networks"].values():
        (epoch,) = network["epochs"]
        assert epoch["step"] == 3
        assert epoch["val_accuracy"] == pytest.approx(network["test_accuracy"])
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert {image["src"] for image in page.images} == {"curves.png", "costs.png", "predictions.png"}
    assert page.text_of("h1") == ["MNIST, 3 architectures"]
    rows = {row[0]: row[1:] for row in page.rows}
    assert rows["plain 8"][0] == f"{plain['test_accuracy']:.2%}"
    assert numbers["test_images"] == TEST
    assert (tmp_path / "residual-8" / "model.safetensors").exists()


@pytest.fixture
def without_pictures(monkeypatch):
    monkeypatch.setattr(compare_architectures, "sections_of", lambda *_: [])


@pytest.mark.usefixtures("without_pictures")
def test_all_see_the_same_images_in_the_same_order(idx_folder, tmp_path, monkeypatch):
    seen: list[np.ndarray] = []
    spoil(monkeypatch, "on_batch_begin", lambda trainer: seen.append(trainer.batch[0].numpy().copy()))
    assert run(compare_architectures, *quick(idx_folder, tmp_path, "--epochs", 2)) == 0
    first, *others = np.split(np.stack(seen), 3)
    assert len(first) == 6
    assert all(np.array_equal(first, other) for other in others)
    assert not np.array_equal(first[0], first[3])


@pytest.mark.usefixtures("without_pictures")
def test_a_comparison_goes_on_where_it_was_interrupted(idx_folder, tmp_path, monkeypatch, capsys):
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    assert run(compare_architectures, *quick(idx_folder, whole)) == 0
    trained: list[str] = []

    def interrupt(trainer):
        trained.append(type(trainer.model).__name__)
        if len(trained) == 5:  # the second step of the second network
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        spoil(patch, "on_batch_begin", interrupt)
        assert run(compare_architectures, *quick(idx_folder, parted)) == 1
    assert "Stopped early: interrupted while training plain 8" in (parted / "index.html").read_text("utf-8")
    with pytest.MonkeyPatch.context() as patch:
        spoil(patch, "on_batch_begin", interrupt)
        trained = ["none"] * 6
        assert run(compare_architectures, "--data", idx_folder, "--out", parted, "--resume") == 0
        assert len(trained) == 6 + 3 + 3  # the first network is not trained again
    numbers = [metrics(out)["networks"] for out in (whole, parted)]
    for name in NAMES:
        assert numbers[0][name]["test_accuracy"] == numbers[1][name]["test_accuracy"]
        folders = [out / name.replace(" ", "-") for out in (whole, parted)]
        assert weights(folders[0]) == weights(folders[1])


def test_the_images_that_tell_networks_apart():
    from minigrad.data import ArrayDataset

    test = ArrayDataset(np.zeros((6, 1, 4, 4)), np.array([0, 0, 0, 1, 1, 0]))
    one = np.tile([[0.5, 0.5]], (6, 1))
    other = np.array([[0.6, 0.4], [1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [0.3, 0.7], [0.5, 0.5]])

    class Candidate:
        def __init__(self, probabilities):
            self.judged = compare_architectures.Judged(test, probabilities)

    chosen = compare_architectures.telling_images([Candidate(one), Candidate(other)], 3)
    assert chosen.tolist() == [1, 4, 2]  # the farthest apart of each class first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--depths", "9"], "depth must be 6n + 2 (8, 14, 20, 26, ...), not 9"),
        (["--depths", "8", "14", "20", "26", "32"], "--depths takes 4 depths at most"),
        (["--dataset", "imagenet"], "argument --dataset: invalid choice: 'imagenet'"),
        (["--data", "nowhere"], "no MNIST train files in nowhere"),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(compare_architectures, *arguments) == 2
    assert message in errors_of(capsys)


def test_help_shows_examples(capsys):
    assert run(compare_architectures, "--help") == 0
    text = capsys.readouterr().out
    assert "python experiments/compare_architectures.py --dataset cifar10" in text
    for option in ("dataset", "depths", "epochs", "train-images", "resume"):
        assert f"--{option}" in text
