"""Where data is kept, and that what is written there is whole."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import sys
import threading
from pathlib import Path

import pytest

from minigrad.data import data_folder
from minigrad.data.cache import cannot_write, file_digest, locked, make_folder, move_aside, write_whole
from minigrad.errors import DataError


def test_the_environment_chooses_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert data_folder() == tmp_path / "mine"
    monkeypatch.setenv("MINIGRAD_DATA", "~/data")
    assert data_folder() == Path.home() / "data"
    monkeypatch.delenv("MINIGRAD_DATA")
    assert data_folder() == tmp_path / "caches" / "minigrad"


@pytest.mark.parametrize(
    "platform, expected",
    [
        ("linux", ".cache/minigrad"),
        ("darwin", "Library/Caches/minigrad"),
        ("win32", "AppData/Local/minigrad"),
    ],
)
def test_each_platform_has_its_own_cache_folder(monkeypatch, tmp_path, platform, expected):
    for name in ("MINIGRAD_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", platform)
    assert data_folder() == tmp_path / expected


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "file"
    for content in (b"first", b"second"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="disk is full"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "code, said", [(errno.EACCES, "make it writable"), (errno.ENOSPC, "Free some space")]
)
def test_an_error_of_the_system_says_what_to_do(code, said):
    error = cannot_write(Path("/some/where"), OSError(code, os.strerror(code)))
    assert isinstance(error, DataError)
    for part in ("/some/where", os.strerror(code), said, "MINIGRAD_DATA"):
        assert part in str(error)


def test_a_folder_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    for act in (make_folder, lambda path: write_whole(path, b""), lambda path: locked(path).__enter__()):
        with pytest.raises(DataError, match="cannot write"):
            act(tmp_path / "file" / "below")


def test_moving_aside_never_overwrites(tmp_path):
    for content in (b"1", b"2", b"3"):
        (tmp_path / "file").write_bytes(content)
        move_aside(tmp_path / "file", "test")
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert kept == {"file.corrupt": b"1", "file.corrupt2": b"2", "file.corrupt3": b"3"}


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_the_checksum_of_a_file(tmp_path, rng, algorithm):
    content = rng.bytes(300_000)
    (tmp_path / "file").write_bytes(content)
    assert file_digest(tmp_path / "file", algorithm) == hashlib.new(algorithm, content).hexdigest()


def test_a_lock_is_held_by_one_at_a_time(tmp_path, capsys):
    inside, most = 0, 0
    counting = threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        with locked(tmp_path / "lock"):
            with counting:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.05)
            with counting:
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert "waiting for another process" in capsys.readouterr().err


def _die_holding(path: Path) -> None:
    with locked(path):
        os._exit(0)


def test_a_lock_dies_with_its_holder(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_die_holding, args=(tmp_path / "lock",))
    process.start()
    process.join()
    with locked(tmp_path / "lock"):
        pass


def test_a_lock_is_given_back_after_an_error(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "lock"):
        raise KeyError
    with locked(tmp_path / "lock"):
        pass
