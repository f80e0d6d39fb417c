"""Fashion-MNIST from files, from mirrors and from Debian's package."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minigrad.data import SourcesFailedError, fashion_mnist, idx_bytes, load_fashion_mnist
from minigrad.errors import ArgumentError, DataError

NAMES = {key: file.name for key, file in fashion_mnist.FILES.items()}


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    """The only folder in which programs are found; empty, so there is no apt unless a test puts one there."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch, refused_address, programs) -> Path:
    """An empty cache; no mirror answers unless a test sees to it."""
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(fashion_mnist, "MIRRORS", (refused_address,))
    return tmp_path / "data" / "fashion_mnist"


@pytest.fixture
def tiny(rng, monkeypatch) -> dict[tuple[str, str], bytes]:
    """Contents of four small files, which are the official ones for the time of a test."""
    contents = {}
    for split, count in (("train", 7), ("test", 3)):
        contents[split, "images"] = idx_bytes(rng.integers(0, 256, (count, 28, 28), np.uint8))
        contents[split, "labels"] = idx_bytes(rng.integers(0, 10, count).astype(np.uint8))
    for key, file in fashion_mnist.FILES.items():
        packed = gzip.compress(contents[key], mtime=0)
        known = replace(
            file,
            sha256=hashlib.sha256(contents[key]).hexdigest(),
            gz_md5=hashlib.md5(packed).hexdigest(),
            gz_size=len(packed),
        )
        monkeypatch.setitem(fashion_mnist.FILES, key, known)
    return contents


def assert_holds(dataset, contents: dict[tuple[str, str], bytes], split: str) -> None:
    assert dataset.inputs.shape == (7 if split == "train" else 3, 1, 28, 28)
    assert dataset.inputs.tobytes() == contents[split, "images"][16:]
    assert dataset.targets.tolist() == list(contents[split, "labels"][8:])
    assert dataset.targets.dtype == np.int64
    assert dataset.classes[9] == "Ankle boot"


@pytest.mark.parametrize("below", ["", "FashionMNIST/raw", "raw", "fashion-mnist", "fashion_mnist"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_root_is_read_as_it_is(tmp_path, cache, tiny, below, ending):
    folder = tmp_path / "root" / below
    folder.mkdir(parents=True)
    for key, content in tiny.items():
        (folder / (NAMES[key] + ending)).write_bytes(gzip.compress(content) if ending else content)
    dataset = load_fashion_mnist(tmp_path / "root", "test")
    assert_holds(dataset, tiny, "test")
    assert dataset.name == f"Fashion-MNIST test, 3 images from {folder}"
    assert not cache.exists()


def test_mirrors_fill_the_cache_once(cache, tiny, server, monkeypatch):
    for key, content in tiny.items():
        server.add(f"good/{NAMES[key]}.gz", gzip.compress(content, mtime=0))
    monkeypatch.setattr(fashion_mnist, "MIRRORS", (server.address("bad/"), server.address("good/")))
    for split in ("train", "test", "train"):
        assert_holds(load_fashion_mnist(split=split, progress=False), tiny, split)
    assert len(server.requests) == 8
    assert sorted(p.name for p in cache.iterdir() if not p.name.startswith(".")) == sorted(NAMES.values())


def test_without_any_source_each_is_named(cache, tiny, refused_address):
    with pytest.raises(SourcesFailedError, match="could not download Fashion-MNIST") as caught:
        load_fashion_mnist(progress=False)
    assert f"{refused_address}train-images-idx3-ubyte.gz: cannot be reached" in str(caught.value)
    assert "apt-get download dataset-fashion-mnist: there is no apt-get" in str(caught.value)
    assert len(caught.value.failures) == 2
    with pytest.raises(DataError, match="download=True"):
        load_fashion_mnist(download=False)


def test_bad_arguments_and_roots_are_refused(tmp_path, cache):
    with pytest.raises(ArgumentError, match="'valid'"):
        load_fashion_mnist(split="valid")
    with pytest.raises(
        DataError, match=r"no Fashion-MNIST train files.*FashionMNIST/raw, raw, fashion-mnist and"
    ):
        load_fashion_mnist(tmp_path)


# ---------------------------------------------------------------- Debian's package


def install(programs: Path, name: str, script: str) -> None:
    """A program for the time of a test."""
    path = programs / name
    path.write_text(f"#!{sys.executable}\nimport pathlib, sys\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def package(contents: dict[tuple[str, str], bytes], tmp_path: Path, programs: Path) -> None:
    """Let apt-get fetch, and dpkg-deb open, a package with these files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for key, content in contents.items():
            member = tarfile.TarInfo(f"./{fashion_mnist.PACKAGE_FOLDER}/{NAMES[key]}.gz")
            packed = gzip.compress(content)
            member.size = len(packed)
            tar.addfile(member, io.BytesIO(packed))
    (tmp_path / "files.tar").write_bytes(archive.getvalue())
    fetch = "assert sys.argv[1:3] == ['download', 'dataset-fashion-mnist']; pathlib.Path('a.deb').write_bytes(b'deb')"
    install(programs, "apt-get", fetch)
    show = (
        "assert pathlib.Path(sys.argv[2]).read_bytes() == b'deb'\n"
        f"sys.stdout.buffer.write(pathlib.Path({str(tmp_path / 'files.tar')!r}).read_bytes())"
    )
    install(programs, "dpkg-deb", show)


def test_the_package_fills_the_cache(tmp_path, cache, tiny, programs, capsys):
    package(tiny, tmp_path, programs)
    for split in ("train", "test"):
        assert_holds(load_fashion_mnist(split=split), tiny, split)
    assert "through apt instead" in capsys.readouterr().err
    assert sorted(p.name for p in cache.iterdir() if not p.name.startswith(".")) == sorted(NAMES.values())


def test_other_contents_are_refused(tmp_path, cache, tiny, programs):
    package({**tiny, ("test", "labels"): idx_bytes(np.zeros(3, np.uint8))}, tmp_path, programs)
    with pytest.raises(SourcesFailedError, match="t10k-labels-idx1-ubyte in it is not the official file"):
        load_fashion_mnist(progress=False)


def test_a_package_without_a_file_is_refused(tmp_path, cache, tiny, programs):
    package({key: tiny[key] for key in list(tiny)[:3]}, tmp_path, programs)
    with pytest.raises(SourcesFailedError, match="package is not as expected"):
        load_fashion_mnist(progress=False)


def test_a_damaged_package_is_refused(tmp_path, cache, tiny, programs):
    package(tiny, tmp_path, programs)
    for damage in (b"", b"no tar", (tmp_path / "files.tar").read_bytes()[:700]):
        (tmp_path / "files.tar").write_bytes(damage)
        with pytest.raises(SourcesFailedError, match="package is not as expected"):
            load_fashion_mnist(progress=False)


@pytest.mark.parametrize(
    "script, said",
    [
        (
            "print('E: Unable to locate package', file=sys.stderr); sys.exit(100)",
            "E: Unable to locate package",
        ),
        ("sys.exit(7)", "apt-get ended with code 7"),
        ("", "nothing arrived"),
    ],
)
def test_what_apt_says_is_passed_on(tmp_path, cache, tiny, programs, script, said):
    package(tiny, tmp_path, programs)
    install(programs, "apt-get", script)
    with pytest.raises(SourcesFailedError, match=said):
        load_fashion_mnist(progress=False)


@pytest.mark.network
def test_debians_package_holds_the_official_files(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "MIRRORS", ("http://127.0.0.1:9/",))
    for split, count in (("train", 6000), ("test", 1000)):
        assert np.bincount(load_fashion_mnist(split=split).targets).tolist() == [count] * 10
