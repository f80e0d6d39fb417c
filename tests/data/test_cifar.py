"""CIFAR-10 and CIFAR-100: records, folders, archives, the cache."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_cifar import smaller, tar_gz, tiny_contents

from minigrad.data import PartialDataWarning, SourcesFailedError, cifar, load_cifar10, load_cifar100
from minigrad.data.cifar import CIFAR10, CIFAR10_CLASSES, CIFAR100, CIFAR100_CLASSES, CIFAR100_COARSE_CLASSES
from minigrad.errors import ArgumentError, DataError


@pytest.fixture
def tiny(rng, monkeypatch) -> dict[str, dict[str, bytes]]:
    """The files of both data sets, with few records, by the data set's official folder."""
    monkeypatch.setattr(cifar, "CIFAR10", smaller(CIFAR10))
    monkeypatch.setattr(cifar, "CIFAR100", smaller(CIFAR100))
    return {files.folder: tiny_contents(files, rng) for files in (CIFAR10, CIFAR100)}


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def assert_holds(dataset, contents: bytes, labels: int, label: int) -> None:
    """Byte by byte, with a loop."""
    size = labels + 3072
    assert len(dataset) == len(contents) // size
    assert dataset.inputs.shape[1:] == (3, 32, 32)
    assert (dataset.inputs.dtype, dataset.targets.dtype) == (np.uint8, np.int64)
    for i in range(len(dataset)):
        record = contents[i * size : (i + 1) * size]
        assert dataset.targets[i] == record[label]
        assert dataset.inputs[i].tobytes() == record[labels:]
        assert dataset.inputs[i, 2, 1, 5] == record[labels + 2 * 1024 + 1 * 32 + 5]


def test_names_of_classes():
    assert len(CIFAR10_CLASSES) == 10
    assert CIFAR10_CLASSES[3] == "cat"
    assert len(set(CIFAR100_CLASSES)) == 100
    assert CIFAR100_CLASSES[:3] == ("apple", "aquarium_fish", "baby")
    assert CIFAR100_CLASSES[-1] == "worm"
    assert len(CIFAR100_COARSE_CLASSES) == 20
    assert np.bincount(CIFAR100.coarse_of).tolist() == [5] * 20
    assert CIFAR100_COARSE_CLASSES[CIFAR100.coarse_of[CIFAR100_CLASSES.index("maple_tree")]] == "trees"


@pytest.mark.parametrize("below", ["", "cifar-10-batches-bin"])
def test_cifar10_from_a_folder(tmp_path, tiny, below):
    contents = tiny["cifar-10-batches-bin"]
    folder = write(tmp_path / below, contents)
    before = sorted(tmp_path.rglob("*"))
    train, test = load_cifar10(tmp_path), load_cifar10(tmp_path, "test")
    assert_holds(train, b"".join(contents[f"data_batch_{n}.bin"] for n in range(1, 6)), 1, 0)
    assert_holds(test, contents["test_batch.bin"], 1, 0)
    assert train.name == f"CIFAR-10 train, 30 images from {folder}"
    assert train.classes == CIFAR10_CLASSES
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("labels", ["fine", "coarse"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_cifar100_from_a_folder(tmp_path, tiny, labels, split):
    contents = tiny["cifar-100-binary"]
    write(tmp_path / "cifar-100-binary", contents)
    dataset = load_cifar100(tmp_path, split, labels)
    assert_holds(dataset, contents[f"{split}.bin"], 2, int(labels == "fine"))
    assert len(dataset.classes) == (100 if labels == "fine" else 20)


def test_inputs_can_be_written_to(tmp_path, tiny):
    write(tmp_path, tiny["cifar-10-batches-bin"])
    dataset = load_cifar10(tmp_path, "test")
    dataset.inputs[0] = 9
    assert (dataset.inputs[0] == 9).all()


def test_some_batches_load_with_a_warning(tmp_path, tiny):
    contents = tiny["cifar-10-batches-bin"]
    some = {name: contents[name] for name in ("data_batch_4.bin", "data_batch_2.bin")}
    write(tmp_path, some)
    with pytest.warns(
        PartialDataWarning, match=r"12 of 30.*data_batch_1\.bin, data_batch_3\.bin, data_b"
    ) as caught:
        dataset = load_cifar10(tmp_path)
    assert caught[0].filename == __file__
    assert_holds(dataset, contents["data_batch_2.bin"] + contents["data_batch_4.bin"], 1, 0)
    assert "12 of 30 images" in dataset.name
    with pytest.raises(DataError, match=r"no CIFAR-10 test files.*test_batch\.bin.*cifar-10-binary\.tar\.gz"):
        load_cifar10(tmp_path, "test")


@pytest.mark.parametrize("how", ["file", "folder", "folder below"])
def test_an_archive_is_read_where_it_is(tmp_path, tiny, how):
    contents = tiny["cifar-10-batches-bin"]
    folder = tmp_path / "cifar-10-batches-bin" if how == "folder below" else tmp_path
    archive = write(folder, {"cifar-10-binary.tar.gz": tar_gz("cifar-10-batches-bin", contents)})
    root = archive / "cifar-10-binary.tar.gz" if how == "file" else tmp_path
    assert_holds(load_cifar10(root), b"".join(contents[f"data_batch_{n}.bin"] for n in range(1, 6)), 1, 0)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["cifar-10-binary.tar.gz"]


@pytest.mark.parametrize(
    "load, name, damage, said",
    [
        (
            load_cifar10,
            "data_batch_2.bin",
            lambda old: old[:-1],
            r"18,437 bytes, expected 18,438: 6 records of 3,073",
        ),
        (load_cifar10, "data_batch_2.bin", lambda old: old[:3073], "expected 18,438"),
        (load_cifar10, "data_batch_2.bin", lambda old: b"", "0 bytes"),
        (load_cifar10, "data_batch_2.bin", lambda old: old + old[:3073], "21,511 bytes"),
        (
            load_cifar10,
            "data_batch_5.bin",
            lambda old: old[:3073] + b"\x0a" + old[3074:],
            "record 1 has label 10, exp",
        ),
        (
            load_cifar100,
            "train.bin",
            lambda old: b"\x14" + old[1:],
            "record 0 has labels 20 and .* expected 0 to 19",
        ),
        (load_cifar100, "train.bin", lambda old: old[:1] + b"\x64" + old[2:], "labels .* and 100, expected"),
        (
            load_cifar100,
            "train.bin",
            lambda old: b"\x00\x00" + old[2:],
            "labels 0 and 0, expected .* the first being the group",
        ),
    ],
)
def test_damage_is_described(tmp_path, tiny, load, name, damage, said):
    contents = {**tiny["cifar-10-batches-bin"], **tiny["cifar-100-binary"]}
    contents[name] = damage(contents[name])
    write(tmp_path, contents)
    with pytest.raises(DataError, match=said) as caught:
        load(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert (tmp_path / name).read_bytes() == contents[name]


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="'validation'"):
        load_cifar10(tmp_path, "validation")
    with pytest.raises(ArgumentError, match="labels must be 'fine' or 'coarse', got 'rough'"):
        load_cifar100(tmp_path, labels="rough")
    with pytest.raises(DataError, match="no CIFAR-100 train files in"):
        load_cifar100(tmp_path / "absent")


# ---------------------------------------------------------------- the cache and the official archive


@pytest.fixture
def official(tmp_path, monkeypatch, server, tiny) -> Path:
    """The archives of the tiny files are the official ones, and the test's server has them; returns the cache."""
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("minigrad.data.cifar_files.HOST", server.address(""))
    for attribute in ("CIFAR10", "CIFAR100"):
        files = getattr(cifar, attribute)
        packed = tar_gz(files.folder, tiny[files.folder])
        server.add(files.archive, packed)
        known = replace(files, md5=hashlib.md5(packed).hexdigest(), size=len(packed))
        monkeypatch.setattr(cifar, attribute, known)
    return tmp_path / "data"


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_the_archive_is_fetched_once_for_both_splits(official, tiny, server):
    contents = tiny["cifar-10-batches-bin"]
    for split in ("train", "test", "train"):
        dataset = load_cifar10(split=split, progress=False)
        assert dataset.name == f"CIFAR-10 {split}, all {len(dataset)} images"
        assert_holds(
            dataset,
            b"".join(contents[name] for name in sorted(contents) if (split == "test") == (name[0] == "t")),
            1,
            0,
        )
    assert [path for path, _ in server.requests] == ["cifar-10-binary.tar.gz"]
    assert visible(official / "cifar10") == sorted([*contents, "SHA256SUMS"])
    assert_holds(load_cifar100(progress=False), tiny["cifar-100-binary"]["train.bin"], 2, 1)


def test_the_sums_are_those_that_sha256sum_checks(official, tiny):
    load_cifar100(progress=False)
    lines = (official / "cifar100" / "SHA256SUMS").read_text().splitlines()
    expected = {f"{hashlib.sha256(c).hexdigest()}  {name}" for name, c in tiny["cifar-100-binary"].items()}
    assert set(lines) == expected


def test_a_damaged_cache_is_named_moved_aside_and_filled_again(official, tiny, server, capsys):
    load_cifar10(progress=False)
    path = official / "cifar10" / "data_batch_3.bin"
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 1  # a pixel: only the checksum can tell
    path.write_bytes(damaged)
    before = load_cifar10(split="test", progress=False)
    assert len(server.requests) == 1
    assert len(load_cifar10(progress=False)) == 30
    assert len(server.requests) == 2
    assert path.read_bytes() == tiny["cifar-10-batches-bin"]["data_batch_3.bin"]
    assert path.with_name("data_batch_3.bin.corrupt").read_bytes() == damaged
    assert "data_batch_3.bin is damaged" in capsys.readouterr().err
    np.testing.assert_array_equal(load_cifar10(split="test").inputs, before.inputs)


@pytest.mark.parametrize("sums", [None, b"", b"\xff\xfe nonsense\n"])
def test_files_without_sums_are_not_trusted(official, server, sums):
    load_cifar10(progress=False)
    path = official / "cifar10" / "SHA256SUMS"
    path.unlink()
    if sums is not None:
        path.write_bytes(sums)
    load_cifar10(progress=False)
    assert len(server.requests) == 2


def test_an_archive_put_into_the_cache_by_hand_is_used(official, tiny, server):
    packed = tar_gz("cifar-10-batches-bin", tiny["cifar-10-batches-bin"])
    write(official / "cifar10", {"cifar-10-binary.tar.gz": packed})
    assert len(load_cifar10(progress=False)) == 30
    assert server.requests == []


def test_without_network_or_download_it_says_what_to_do(official, monkeypatch, refused_address):
    with pytest.raises(DataError, match="load_cifar100 with download=True"):
        load_cifar100(download=False)
    monkeypatch.setattr("minigrad.data.cifar_files.HOST", refused_address)
    with pytest.raises(SourcesFailedError, match=r"cifar-100-binary\.tar\.gz.*cannot be reached"):
        load_cifar100(progress=False)
    assert not list(official.rglob("*.bin"))
