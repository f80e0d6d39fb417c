"""Randomly mangled weight files, a few of those that `tests/fuzz_files.py` makes."""

from __future__ import annotations

from tests import fuzz_files


def test_mangled_files(tmp_path):
    """Two thousand of them: python -m tests.fuzz_files --count 2000."""
    outcomes = fuzz_files.run(300, seed=1, folder=tmp_path)
    for kind, (valid, refused) in outcomes.items():
        assert refused > 10, kind
        assert valid + refused == 60, kind
