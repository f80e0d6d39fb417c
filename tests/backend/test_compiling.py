"""Compiled kernels: kept, found again, never trusted when damaged, and announced."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from minigrad.backend.native import compiling, kept_code
from minigrad.backend.native.compiling import inlined, kernel
from minigrad.backend.native.kept_code import KeptCode, cache_folder
from minigrad.errors import KernelCacheWarning

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(KeptCode, "_told", False)
    kept_code._mark_as_used.cache_clear()
    yield cache_folder()
    monkeypatch.undo()


def adding(number: int):
    """A kernel, known to this process by its source only."""

    @kernel
    def add(x):
        return x + number

    return add


def compiled(kernel) -> bool:
    """Whether it was compiled, rather than loaded, in its one call."""
    misses = sum(kernel.stats.cache_misses.values())
    assert misses + sum(kernel.stats.cache_hits.values()) == 1
    return misses == 1


def call(number: int = 1) -> bool:
    """Call a new kernel, check its result; whether it was compiled for that."""
    add = adding(number)
    assert add(41) == 41 + number
    return compiled(add)


# ---------------------------------------------------------------- keeping


def test_what_was_compiled_is_loaded(folder):
    assert not folder.exists()
    assert call()
    (path,) = folder.iterdir()
    assert path.name.startswith("test_compiling.add-")
    assert not call()
    assert call(2)  # another value in the closure
    other = adding(1)
    assert other(0.5) == 1.5  # another type
    assert compiled(other)
    assert len(list(folder.iterdir())) == 3


def test_the_default_folder(monkeypatch):
    monkeypatch.delenv("MINIGRAD_CACHE_DIR", raising=False)
    assert cache_folder().parent == Path.home() / ".cache" / "minigrad" / "kernels"
    monkeypatch.undo()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    how=st.sampled_from(["cut off", "other bits", "longer", "rubbish"]),
    where=st.floats(0, 1, exclude_max=True),
    rubbish=st.binary(max_size=100),
)
def test_damaged_code_is_never_used(folder, how, where, rubbish):
    """A file that is cut off, or has other bits, is compiled anew and written over."""
    call()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    i = int(where * len(whole))
    path.write_bytes({
        "cut off": whole[:i],
        "other bits": whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :],
        "longer": whole + b"x",
        "rubbish": rubbish,
    }[how])  # fmt: skip
    assert call()
    assert not call()
    assert [p.name for p in folder.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written_is_said_once(folder, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    for impossible in (tmp_path / "file" / "below", Path("/dev/null/x")):
        monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(impossible))
        monkeypatch.setattr(KeptCode, "_told", False)
        with pytest.warns(KernelCacheWarning, match="MINIGRAD_CACHE_DIR names another folder") as said:
            assert [call(), call()] == [True, True]
        assert len(said) == 1
    monkeypatch.undo()


def test_no_home_folder(folder, monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MINIGRAD_CACHE_DIR")
    monkeypatch.setattr(Path, "home", home)
    with pytest.warns(KernelCacheWarning, match="home directory"):
        assert call()
    monkeypatch.undo()


def test_a_disk_that_is_full(folder, monkeypatch):
    def full(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_code.os, "replace", full)
    with pytest.warns(KernelCacheWarning, match="No space left"):
        assert call()
    assert not list(folder.iterdir()), "no remains"
    monkeypatch.undo()


def test_folders_that_nobody_uses_are_removed(folder):
    root = folder.parent
    root.mkdir(parents=True)
    ages = {"0a-numba0.1-py310": 91, "0b-numba0.1-py310": 89, "something else": 1000}
    for name, days in ages.items():
        (root / name).mkdir()
        (root / name / "code").touch()
        os.utime(root / name, (time.time() - days * 86400,) * 2)
    call()
    assert {p.name for p in root.iterdir()} == {"0b-numba0.1-py310", "something else", folder.name}


def test_loading_marks_a_folder_as_used(folder):
    call()
    os.utime(folder, (0, 0))
    call()
    assert time.time() - folder.stat().st_mtime < 3600


def test_code_of_another_version_of_a_module_is_not_used(folder, tmp_path, monkeypatch):
    """The folder's name covers minigrad's own kernels; those of others have their source in the file's name."""
    monkeypatch.syspath_prepend(tmp_path)
    for value in (1.5, 2.5):
        (tmp_path / "kernels_elsewhere.py").write_text(
            "from minigrad.backend.native.compiling import kernel\n"
            f"@kernel\ndef constant(x):\n    return x * {value}\n"
        )
        sys.modules.pop("kernels_elsewhere", None)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        import kernels_elsewhere

        assert kernels_elsewhere.constant(2.0) == 2 * value
    sys.modules.pop("kernels_elsewhere")
    monkeypatch.undo()


# ---------------------------------------------------------------- processes

SCRIPT = """
import numpy as np, minigrad as mg
x = mg.tensor(np.linspace(-1, 1, 100_000, dtype=np.float32))
print(float(mg.relu(x).sum()))
"""


def start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_processes_at_once_and_a_third_one_after_them(folder):
    first = [process.communicate() for process in (start(), start())]
    outputs = {out for out, _ in first}
    assert len(outputs) == 1
    for _, error in first:
        assert error.strip() in (
            "",
            "minigrad: compiling kernels for this processor; they are kept for the next time",
        )
    assert any(error for _, error in first)
    out, error = start().communicate()
    assert error == ""
    assert {out} == outputs


# ---------------------------------------------------------------- announcing, inlining


def test_the_announcement_leaves_a_progress_bar_alone(capsys):
    with tqdm(total=10, file=sys.stderr, leave=False):
        compiling._say("minigrad: something")
    assert "minigrad: something" in capsys.readouterr().err.replace("\r", "\n").splitlines()


def test_other_peoples_functions_are_not_announced(folder, monkeypatch, capsys):
    monkeypatch.setattr(compiling._Announcer, "_told", False)
    call()
    assert capsys.readouterr().err == ""
    monkeypatch.undo()


def test_a_long_part_of_a_kernel_is_inlined(folder):
    """Else the loop over it does not become vectors."""

    @inlined
    def intricate(x):
        for _ in range(3):
            x = (
                x * np.float32(1.5)
                + x / (x * x + np.float32(0.5))
                - np.float32(0.25) * x * (x + np.float32(3))
            )
            x = x + x * (x + x * (x + x * (x + x * (x + x * (x + x * np.float32(2))))))
        return x

    @kernel
    def loop(x):
        for i in range(x.size):
            x[i] = intricate(x[i])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KernelCacheWarning)
        loop(np.ones(64, np.float32))
    (code,) = loop.inspect_llvm().values()
    assert "x float> " in code
    assert not [line for line in code.splitlines() if " call " in line and "intricate" in line]
