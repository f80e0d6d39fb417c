"""Where data files are kept, and how they are written: checked, whole or not at all, by one process at a time."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from minigrad.errors import DataError

_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)  # what locking a file says while another holds the lock
_FULL = (errno.ENOSPC, errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC)


def data_folder() -> Path:
    """The folder that downloaded data is kept in; it need not exist yet.

    The first of: the environment's `MINIGRAD_DATA`; `XDG_CACHE_HOME` with `minigrad` below it; the platform's
    own cache folder (`~/.cache/minigrad`; on macOS `~/Library/Caches/minigrad`, on Windows
    `%LOCALAPPDATA%\\minigrad`).
    """
    if chosen := os.environ.get("MINIGRAD_DATA"):
        return Path(chosen).expanduser()
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches).expanduser() / "minigrad"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minigrad"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "minigrad"
    return Path.home() / ".cache" / "minigrad"


def say(text: str) -> None:
    """One line for the person at the terminal, apart from a program's results on standard output."""
    print(text, file=sys.stderr, flush=True)


def cannot_write(path: Path, error: OSError) -> DataError:
    """The error for a file or folder that the system does not let us write, with what to do about it."""
    if error.errno in _FULL:
        return DataError(
            f"the disk is full: cannot write {path} ({error.strerror}). Free some space, or set MINIGRAD_DATA to a "
            "folder on another disk. What has arrived so far is kept, and continued the next time."
        )
    return DataError(
        f"cannot write {path} ({error.strerror or error}). Data is kept in that folder: make it writable, or set "
        "MINIGRAD_DATA to one that is."
    )


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents, or raise DataError; a folder that is there already is fine, read-only too."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, so that of several processes only one is in the `with` block at a time.

    The operating system drops the lock when its holder ends, however it ends; the empty file stays behind,
    since removing it would let two processes hold "the same" lock. On a file system without locks the block
    runs unguarded: the atomic rename at the end of every write still keeps a finished file whole.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise cannot_write(path, error) from None
    try:
        told = False
        while _try_lock(descriptor) == "busy":
            if not told:
                say(f"waiting for another process that is writing to {path.parent} ...")
                told = True
            time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)  # which drops the lock


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> str:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return "busy" if error.errno in _BUSY else "unsupported"
        return "held"

else:
    import fcntl

    def _try_lock(descriptor: int) -> str:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return "busy" if error.errno in _BUSY else "unsupported"
        return "held"


def file_digest(path: Path, algorithm: str) -> str:
    """The file's checksum in hexadecimal; `algorithm` is "md5" or "sha256"."""
    with open(path, "rb") as file:
        # MD5 here tells damage, it does not keep secrets; some systems allow it only with that said.
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def move_aside(path: Path, why: str) -> Path:
    """Rename a damaged file to a free name ending in `.corrupt`, say so, and return that name."""
    aside = path.with_name(path.name + ".corrupt")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.corrupt{count}")
    try:
        path.rename(aside)
    except OSError as error:
        raise DataError(
            f"{path} is damaged ({why}) and could not be moved aside ({error.strerror or error}); remove it by hand"
        ) from None
    say(f"{path} is damaged ({why}): moved aside to {aside.name}")
    return aside


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` so that the file is absent, old, or complete at any instant; DataError if it cannot be."""
    unfinished = path.with_name(f"{path.name}.tmp{os.getpid()}")
    try:
        with open(unfinished, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with suppress(OSError):
            unfinished.unlink()
