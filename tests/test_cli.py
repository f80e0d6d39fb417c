"""What scripts share: errors in one line, numbers on the command line, a folder for results."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from minigrad.cli import clear_errors, output_folder, positive_float, positive_int
from minigrad.errors import ArgumentError, DataError


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("no such file"), 2, "tool: error: no such file\n"),
        (ArgumentError("not 3"), 2, "tool: error: not 3\n"),
        (OSError(28, "No space left on device"), 2, "tool: error: [Errno 28] No space left on device\n"),
        (MemoryError("9 GiB"), 2, "tool: error: out of memory (9 GiB); try smaller batches\n"),
        (KeyboardInterrupt(), 130, "tool: interrupted\n"),
    ],
)
def test_a_users_mistake_is_one_line(capsys, error, code, line):
    with pytest.raises(SystemExit) as end, clear_errors("tool"):
        raise error
    assert end.value.code == code
    assert capsys.readouterr().err == line


def test_a_mistake_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError), clear_errors("tool"):
        1 / 0  # noqa: B018


def test_nothing_happens_without_an_error(capsys):
    with clear_errors("tool"):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("text", "value"), [("1", 1), (" 12 ", 12), ("1_000", 1000)])
def test_whole_numbers(text, value):
    assert positive_int(text) == value


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "", "many"])
def test_what_is_no_whole_number(text):
    with pytest.raises(ArgumentTypeError, match=f"expected a whole number from 1, not '{text}'"):
        positive_int(text)


@pytest.mark.parametrize(("text", "value"), [("0.1", 0.1), ("1e30", 1e30), ("3", 3.0)])
def test_numbers(text, value):
    assert positive_float(text) == value


@pytest.mark.parametrize("text", ["0", "-1e-3", "nan", "inf", "", "fast"])
def test_what_is_no_number_above_0(text):
    with pytest.raises(ArgumentTypeError, match=f"expected a number above 0, not '{text}'"):
        positive_float(text)


def test_a_folder_for_results(tmp_path):
    folder = output_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert output_folder(str(folder)) == folder  # it may be there already
    assert not list(folder.iterdir())  # the trial file is gone
    (folder / "file").write_bytes(b"")
    with pytest.raises(
        ArgumentError, match=r"cannot write results to .*file: .*; name another folder with --out"
    ):
        output_folder(folder / "file")
