"""Downloads that survive bad networks: resumed, checked, and from several sources in turn."""

from __future__ import annotations

import http.client
import os
import re
import threading
import urllib.request
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError

from minigrad.data.cache import cannot_write, file_digest, locked, make_folder, move_aside, say
from minigrad.errors import DataError

CHUNK = 1 << 16  # bytes; small enough for a smooth bar, large enough to cost nothing
TRIES = 4  # with one source, as long as each try brings something new


class SourcesFailedError(DataError):
    """Every source of a file failed; `failures` has one line for each."""

    def __init__(self, message: str, failures: Sequence[str]) -> None:
        super().__init__(message)
        self.failures = list(failures)


class _SourceError(Exception):
    """This source will not do; the next one may."""


class _InterruptedError(Exception):
    """The connection ended early; asking the same source again may bring the rest."""


@dataclass(frozen=True)
class _Wanted:
    """What a complete file looks like, and how patiently to wait for it."""

    name: str
    algorithm: str
    digest: str
    size: int | None
    progress: bool
    connect_timeout: float
    read_timeout: float

    def flaw(self, path: Path) -> str | None:
        """What is wrong with the file at `path`, or None if it is the one wanted."""
        found_size = path.stat().st_size
        if self.size is not None and found_size != self.size:
            return f"{found_size:,} bytes, expected {self.size:,}"
        found = file_digest(path, self.algorithm)
        if found != self.digest:
            return f"{self.algorithm} is {found}, expected {self.digest}"
        return None


def fetch(
    filename: str,
    sources: Sequence[str],
    folder: str | os.PathLike[str],
    *,
    checksum: str,
    size: int | None = None,
    progress: bool = True,
    connect_timeout: float = 6.0,
    read_timeout: float = 30.0,
) -> Path:
    """Make sure that `folder/filename` is there and right, downloading it where needed.

    A file that is there is checked: a right one is used without touching the network, a damaged one is named,
    moved aside (never deleted, never used) and fetched again. Sources are tried in turn. What arrives goes to
    `filename.part`, from which a later try goes on, and is renamed in one step once its checksum is right.
    Two processes that want the same file at once wait for each other.

    Parameters
    ----------
    filename : the name to keep the file under, without folders.
    sources : complete addresses (http or https) of the same file, the best first.
    folder : where to keep it; created if absent.
    checksum : "md5:..." or "sha256:...", in hexadecimal, as the file's authors publish it.
    size : bytes in the complete file, if known; a source that offers another number is refused at once.
    progress : show a progress bar, and one line for each source that fails, on standard error.
    connect_timeout : seconds until a source must have begun to answer, name look-up included.
    read_timeout : seconds without a single byte after which a connection counts as broken.

    Returns
    -------
    The path of the complete, checked file.

    Raises
    ------
    SourcesFailedError (a DataError) when no source delivered the file, naming each with its reason; DataError
    when the folder cannot be written or the disk is full.
    """
    algorithm, _, digest = checksum.partition(":")
    if algorithm not in ("md5", "sha256") or not re.fullmatch("[0-9a-f]+", digest):
        raise DataError(f"checksum must read 'md5:<hex>' or 'sha256:<hex>', got {checksum!r}")
    if not sources:
        raise DataError(f"no source was given for {filename}")
    for url in sources:
        if not url.startswith(("http://", "https://")):
            raise DataError(f"a source must be an http or https address, got {url!r}")
    wanted = _Wanted(filename, algorithm, digest, size, progress, connect_timeout, read_timeout)
    folder = Path(folder)
    target = folder / filename
    # Complete files are never written again, so looking needs no lock: read-only folders of others work.
    if target.exists() and wanted.flaw(target) is None:
        return target
    make_folder(folder)
    with locked(folder / f".{filename}.lock"):
        if target.exists():  # another process may have finished it while we waited
            if (flaw := wanted.flaw(target)) is None:
                return target
            move_aside(target, flaw)
        _from_any(sources, target, wanted)
    return target


def _from_any(sources: Sequence[str], target: Path, wanted: _Wanted) -> None:
    part = target.with_name(target.name + ".part")
    failures = []
    for url in sources:
        try:
            _from_one(url, part, wanted)
        except _SourceError as error:
            failures.append(f"{url}: {error}")
            if wanted.progress:
                say(f"could not download {failures[-1]}")
            continue
        try:
            os.replace(part, target)
        except OSError as error:
            raise cannot_write(target, error) from None
        return
    kept = (
        f" The {part.stat().st_size:,} bytes that came are kept and will be continued."
        if part.exists()
        else ""
    )
    tried = "".join(f"\n  {line}" for line in failures)
    raise SourcesFailedError(
        f"could not download {wanted.name}; tried {len(failures)}:{tried}\n"
        f"Check the network and run again, or put the file into {target.parent} yourself.{kept}",
        failures,
    )


def _from_one(url: str, part: Path, wanted: _Wanted) -> None:
    """Complete and check `part` from one source, in several connections if need be."""
    tries = 0
    while True:
        before = _bytes_in(part)
        if wanted.size is not None and before > wanted.size:
            part.unlink()
            before = 0
        if before != wanted.size:  # else all of it is here, only unchecked: killed just before the rename
            try:
                _transfer(url, part, wanted)
            except _InterruptedError as error:
                tries += 1
                if tries < TRIES and _bytes_in(part) > before:
                    continue
                raise _SourceError(str(error)) from None
        flaw = wanted.flaw(part)
        if flaw is None:
            return
        part.unlink()
        # Pieces from two sources, or from two days, may not fit together: then this source gets a fresh start.
        if not before:
            raise _SourceError(f"the wrong content: {flaw}")


def _bytes_in(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _transfer(url: str, part: Path, wanted: _Wanted) -> None:
    """One connection: append what is missing to `part`, or write it anew if the source cannot begin in the middle."""
    have = _bytes_in(part)
    # Without "identity" some servers pack the file once more, and neither size nor checksum would fit.
    headers = {"User-Agent": "minigrad", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = _open(urllib.request.Request(url, headers=headers), wanted)
    except HTTPError as error:
        error.close()
        if (
            error.code == 416 and have
        ):  # it has fewer bytes than we hold: ours are not a beginning of its file
            part.unlink()
            return _transfer(url, part, wanted)
        raise _SourceError(f"the server answers {error.code} {error.reason}") from None
    except URLError as error:
        raise _SourceError(f"cannot be reached ({_reason(error.reason)})") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _SourceError(f"cannot be reached ({_reason(error)})") from None
    with response:
        begin = 0
        if response.status == 206:
            span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if span is None or int(span[1]) != have:
                part.unlink(missing_ok=True)
                raise _SourceError("the server sends another part of the file than it was asked for")
            begin = have
        length = response.headers.get("Content-Length", "")
        total = begin + int(length) if length.isdecimal() else None
        if total is not None and wanted.size is not None and total != wanted.size:
            raise _SourceError(f"offers {total:,} bytes, expected {wanted.size:,}")
        try:
            with open(part, "ab" if begin else "wb") as file:
                _copy(response, file, begin, total, wanted)
        except OSError as error:  # the disk's: those of the network have become other errors by now
            raise cannot_write(part, error) from None


def _copy(response: Any, file: IO[bytes], begin: int, total: int | None, wanted: _Wanted) -> None:
    from tqdm import tqdm  # not before a download: `import minigrad` stays light

    done = begin
    silent = not wanted.progress
    with tqdm(total=total, initial=begin, desc=wanted.name, unit="B", unit_scale=True, disable=silent) as bar:
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _InterruptedError(f"broke off after {done:,} bytes ({_reason(error)})") from None
            if not chunk:
                break
            done += len(chunk)
            if wanted.size is not None and done > wanted.size:
                raise _SourceError(f"sends more than the {wanted.size:,} bytes expected")
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and done < total:
        raise _InterruptedError(f"broke off after {done:,} of {total:,} bytes")


def _open(request: urllib.request.Request, wanted: _Wanted) -> Any:
    """Open the address, giving up after `connect_timeout` seconds in all.

    The time-out of a socket covers neither the name look-up nor the sum over a host's several addresses,
    which add up to minutes behind some firewalls. So the request is made in a thread that is left behind when
    it takes too long.
    """
    answer: Future[Any] = Future()

    def ask() -> None:
        try:
            response = urllib.request.urlopen(request, timeout=wanted.read_timeout)
        except Exception as error:  # handed to the waiting thread, whatever it is
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)
            elif isinstance(error, HTTPError):
                error.close()
            return
        if answer.set_running_or_notify_cancel():
            answer.set_result(response)
        else:
            response.close()

    threading.Thread(target=ask, daemon=True, name=f"open {request.host}").start()
    try:
        return answer.result(wanted.connect_timeout)
    except TimeoutError:
        if answer.cancel():
            raise TimeoutError(f"no answer within {wanted.connect_timeout:g} s") from None
        return answer.result()  # it came in the last moment, or the time-out was the socket's own


def _reason(error: object) -> str:
    """The short form of a network error: 'connection refused', without numbers and class names."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
