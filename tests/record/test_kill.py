"""A short run of kill_and_open.py; the script does it a hundred times."""

from __future__ import annotations

import sys

import pytest

from tests.record.kill_and_open import kill_and_check, kill_trainings


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_killed_run_opens_and_holds_all_but_the_last_second():
    assert kill_and_check(kills=6, seed=1, longest=0.7) <= 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_a_killed_training_goes_on_and_its_record_has_no_hole():
    assert kill_trainings(kills=3, seed=1, longest=0.5) <= 1
