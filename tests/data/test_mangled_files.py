"""A few hundred damaged data files; `mangled_files.py` runs as many as one likes."""

from __future__ import annotations

import numpy as np
import pytest
from mangled_files import kinds, mangled, outcome, trial


def test_damaged_files_are_reported_as_such(tmp_path):
    table = trial(600, 0, tmp_path)
    totals = {name: sum(counts.values()) for name, counts in table.items()}
    assert sum(totals.values()) == 600
    for name, counts in table.items():
        assert counts["error"] > 0.4 * totals[name], (name, counts)


def test_the_trial_notices_damage_that_goes_unnoticed(tmp_path, rng):
    kind = next(kind for kind in kinds(rng) if kind.name.endswith(".npz"))
    other = [np.zeros((20, 28, 28), np.uint8), np.arange(20)]
    with pytest.raises(AssertionError, match="went unnoticed"):
        outcome(kind, kind.content, other, tmp_path)


def test_mangling_changes_nearly_every_file(rng):
    content = bytes(range(256)) * 4
    assert sum(mangled(content, rng) != content for _ in range(200)) > 190
    assert len({mangled(b"", rng) for _ in range(50)}) > 5
