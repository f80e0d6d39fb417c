"""Data in a package of Debian and its relatives: fetched by apt, never installed, none of its scripts run."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from minigrad.data.cache import cannot_write
from minigrad.data.download import SourcesFailedError

PATIENCE = 6  # seconds apt waits for an answer, as long as for the other sources


def read_package(package: str, members: Sequence[str], folder: Path) -> dict[str, bytes]:
    """The contents of gzip files in a package, unpacked, by their paths ("usr/share/...").

    Apt's own settings hold: which mirrors to ask, and which signatures to trust. Parameters: `folder`, an existing one,
    whose disk takes the temporary files.

    Raises SourcesFailedError (a DataError) where there is no apt, it failed, or the package lacks a file.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise _failed(package, f"there is no {program} on this system")
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".apt-") as scratch:
            options = ["-o", f"Acquire::http::Timeout={PATIENCE}", "-o", "Acquire::Retries=1"]
            options += ["-o", "APT::Sandbox::User="]  # a private folder is no place for apt's own user
            _run(package, ["apt-get", "download", package, "--quiet=2", *options], scratch)
            arrived = list(Path(scratch).glob("*.deb"))
            if len(arrived) != 1:
                raise _failed(package, "nothing arrived")
            files = _run(package, ["dpkg-deb", "--fsys-tarfile", str(arrived[0])], scratch)
    except OSError as error:
        raise cannot_write(folder, error) from None
    try:
        with tarfile.open(fileobj=io.BytesIO(files), mode="r:") as archive:
            return {path: _unpacked(archive, f"./{path}") for path in members}
    except (KeyError, tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        raise _failed(package, f"the package is not as expected ({error})") from None


def _unpacked(archive: tarfile.TarFile, path: str) -> bytes:
    file = archive.extractfile(path)
    if file is None:
        raise ValueError(f"{path} is no file")
    return gzip.decompress(file.read())


def _run(package: str, command: list[str], folder: str) -> bytes:
    """What a program writes, in a given folder; its last line of complaint becomes the error."""
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise _failed(package, lines[-1] if lines else f"{command[0]} ended with code {done.returncode}")
    return done.stdout


def _failed(package: str, reason: str) -> SourcesFailedError:
    failure = f"apt-get download {package}: {reason}"
    return SourcesFailedError(f"could not get {failure}", [failure])
