"""The main job on several ranks: killed, resumed on as many, on more and on one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from experiments import train_mnist
from minigrad.data import idx_bytes, load_mnist_part
from tests.distributed.launch import Ended, needs_mpi, run_ranks

pytestmark = needs_mpi

EPOCHS = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with MNIST's four files, some images in each."""
    folder = tmp_path_factory.mktemp("mnist")
    for split, prefix, n in (("train", "train", 160), ("test", "t10k", 64)):
        part = load_mnist_part(split)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(part.inputs[:n, 0]))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(part.targets[:n].astype(np.uint8)))
    return folder


def train(ranks: int, data: Path, out: Path, *more: str) -> Ended:
    options = ["--data", str(data), "--out", str(out), "--model", "cnn", "--epochs", str(EPOCHS)]
    options += ["--batch-size", "32", "--lr", "0.1", "--distributed", *more]
    return run_ranks(ranks, train_mnist.__file__, *options)


def kill_a_rank(out: Path, script: str) -> None:
    """Kill one of the processes that train there as soon as there is a checkpoint of an epoch."""
    deadline = time.monotonic() + 40
    while not list(out.glob("run/checkpoints/epoch-0001-*")) and time.monotonic() < deadline:
        time.sleep(0.002)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if script in command and str(out) in command and "python" in Path(command[0]).name:
            os.kill(int(process.name), signal.SIGKILL)
            return


def epochs(out: Path) -> list[dict]:
    lines = map(json.loads, (out / "run" / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if "epoch" in line]


def test_the_main_job_is_killed_and_resumed_on_any_number_of_ranks(data, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    ended = train(2, data, whole)
    assert ended.code == 0, ended.error
    assert ended.out.count("images recognised") == 1  # one rank speaks
    assert (whole / "index.html").exists()
    numbers = epochs(whole)
    assert [line["epoch"] for line in numbers] == [1, 2, 3]
    # Metrics over all examples: the share of 64 images that were recognised
    assert all((64 * line["val_accuracy"]).is_integer() for line in numbers)
    assert all(
        abs(160 * line["train_accuracy"] - round(160 * line["train_accuracy"])) < 1e-9 for line in numbers
    )

    killer = threading.Thread(target=kill_a_rank, args=(killed, train_mnist.__file__))
    killer.start()
    ended = train(2, data, killed)
    killer.join()
    assert ended.code, "it was not killed in time"
    for ranks in (2, 3, 1):
        out = tmp_path / f"on {ranks}"
        shutil.copytree(killed, out)
        ended = train(ranks, data, out, "--resume")
        assert ended.code == 0, ended.error
        assert [line["epoch"] for line in epochs(out)] == [1, 2, 3]
        weights, others = mg.load(out / "model.safetensors"), mg.load(whole / "model.safetensors")
        same = all((weights[name].numpy() == others[name].numpy()).all() for name in others)
        assert same == (ranks == 2)  # on as many, bit for bit; else shifts of the images differ


def test_an_error_on_all_ranks_is_one_clear_line_each(data, tmp_path):
    ended = train(2, data, tmp_path / "out", "--batch-size", "159")
    assert ended.code
    assert "leave a batch of 1, too few for 2 ranks" in ended.error
    assert "Traceback" not in ended.error
    assert ended.seconds < 20
