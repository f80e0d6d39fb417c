"""The test suite's own safety net: skips that must not pass unnoticed, and tests that leave traces."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent

SUITE = """
import os, pytest
from hypothesis import given, strategies as st
from minigrad import engine, observe

def test_skips():
    pytest.skip("for no good reason")

@pytest.mark.gpu
def test_needs_a_gpu():
    pytest.skip("no GPU")

@pytest.mark.xfail(reason="known")
def test_known():
    assert False

@pytest.mark.parametrize("case", [])
def test_without_cases(case):
    pass

def test_leaks_the_mode():
    engine._mode.grad_enabled = False

def test_after_the_leak():
    assert engine.is_grad_enabled()

def test_leaks_an_observer():
    observe.observers += (object(),)

def test_leaks_the_device():
    os.environ["MINIGRAD_DEVICE"] = "cpu"

@given(st.integers())
def test_examples_may_use_the_shared_fixtures(n):
    assert isinstance(n, int)

def test_asks_for_the_oracle(torch, request):
    assert request.node.get_closest_marker("oracle")

@pytest.mark.oracle
def test_is_marked_so():
    import torch

def test_warns():
    import warnings
    warnings.warn("something is wrong")
"""


@pytest.fixture(scope="module", params=["any", "gpu"])
def run(request, tmp_path_factory) -> tuple[str, dict[str, str]]:
    """Who may skip, and what became of each test: passed, failure, error (outside its own code) or skipped."""
    folder = tmp_path_factory.mktemp("suite")
    shutil.copy(ROOT / "conftest.py", folder)
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "test_skips_itself.py").write_text("import pytest\npytest.importorskip('absent_package')\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MINIGRAD_ALLOWED_SKIPS": request.param}
    if request.param == "any":
        del environment["MINIGRAD_ALLOWED_SKIPS"]
    options = ["-c", str(ROOT / "setup.cfg"), "--rootdir", str(folder), "--junitxml", "outcomes.xml"]
    options += ["--continue-on-collection-errors", "-p", "no:cacheprovider"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
    )
    outcomes: dict[str, str] = {}
    for case in ElementTree.parse(folder / "outcomes.xml").iter("testcase"):
        outcomes[case.attrib["name"].partition("[")[0]] = next((child.tag for child in case), "passed")
    return request.param, outcomes


def test_a_skip_fails_where_it_is_forbidden(run):
    allowed, outcomes = run
    names = ["test_skips", "test_without_cases", "test_skips_itself"]
    found = [outcomes[name] for name in names]
    assert found == ["skipped"] * 3 if allowed == "any" else set(found) <= {"error", "failure"}


def test_an_allowed_skip_and_an_expected_failure_do_not_fail(run):
    assert [run[1][name] for name in ("test_needs_a_gpu", "test_known")] == ["skipped"] * 2


def test_a_test_that_leaves_traces_fails_alone(run):
    leaks = ("test_leaks_the_mode", "test_leaks_an_observer", "test_leaks_the_device")
    assert [run[1][name] for name in leaks] == ["error"] * 3
    assert run[1]["test_after_the_leak"] == "passed"


def test_examples_work_beside_the_net(run):
    assert run[1]["test_examples_may_use_the_shared_fixtures"] == "passed"


def test_a_warning_fails(run):
    assert run[1]["test_warns"] == "failure"


def test_the_oracle_skips_where_it_is_not_installed(run):
    allowed, outcomes = run
    expected = "passed" if find_spec("torch") else {"any": "skipped", "gpu": "error"}[allowed]
    assert [outcomes[name] for name in ("test_asks_for_the_oracle", "test_is_marked_so")] == [expected] * 2
