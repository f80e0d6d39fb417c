"""What all tests and doctests share: few threads, repeatable examples, PyTorch as an oracle, no leaked state."""

from __future__ import annotations

import os

# Set before NumPy is loaded: a test's arrays are too small for threads to help, and a sum split over
# another number of threads may round differently.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import signal
import warnings
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest

# A shell that starts us in the background may have switched interrupts off, for us and for what we start;
# some tests send them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile(
    "minigrad",
    derandomize=True,  # the same examples in every run: a failure is seen by everyone, or by no one
    database=None,
    deadline=None,
    max_examples=50,
    print_blob=False,
)
hypothesis.settings.load_profile("minigrad")

# Names of the marks whose tests may skip; every other skip then fails. Unset: any test may skip.
ALLOWED_SKIPS = os.environ.get("MINIGRAD_ALLOWED_SKIPS")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test that asks for PyTorch as an oracle test."""
    if "torch" in getattr(item, "fixturenames", ()):
        item.add_marker("oracle")


def _refuse_skip(
    report: pytest.TestReport | pytest.CollectReport, node: pytest.Item | pytest.Collector
) -> None:
    if ALLOWED_SKIPS is None or not report.skipped or hasattr(report, "wasxfail"):
        return
    if any(node.get_closest_marker(mark) for mark in ALLOWED_SKIPS.split()):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = (
        f"{reason}\nThis skip counts as a failure: MINIGRAD_ALLOWED_SKIPS={ALLOWED_SKIPS!r} "
        "names the marks whose tests may skip, and this one carries none of them."
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Turn a skip that is not allowed into a failure."""
    report = yield
    _refuse_skip(report, item)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """The same for a whole file that skips itself while it is imported."""
    report = yield
    _refuse_skip(report, collector)
    return report


@pytest.fixture(autouse=True)
def _state_left_as_found() -> Iterator[None]:
    """Start each test from the same random stream, and fail one that leaves something changed for the next."""
    import minigrad  # all of it, so that every operation is registered before we look
    from minigrad import engine, observe

    minigrad.manual_seed(0)
    before = _state()
    yield
    after = _state()
    changed = {name: f"{before[name]} became {after[name]}" for name in before if before[name] != after[name]}
    engine._mode.grad_enabled = before["recording of gradients"]  # so that one leak fails one test
    observe.observers, observe.interceptors = before["observers"], before["interceptors"]
    assert not changed, f"the test left a state changed: {changed}"


def _state() -> dict[str, Any]:
    from minigrad import engine, observe, op

    return {
        "recording of gradients": engine.is_grad_enabled(),
        "observers": observe.observers,
        "interceptors": observe.interceptors,
        "operations": sorted(op.REGISTRY),
        "environment": {name: value for name, value in os.environ.items() if name.startswith("MINIGRAD_")},
        "NumPy's error handling": np.geterr(),
    }


@pytest.fixture(autouse=True)
def _oracle_needs_torch(request: pytest.FixtureRequest) -> None:
    """A test marked as an oracle test need not ask for the fixture as well."""
    if request.node.get_closest_marker("oracle"):
        request.getfixturevalue("torch")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with the same seed for every test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def torch():
    """PyTorch, on one thread; the test is skipped where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its own import may warn; ours may not
            import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        pytest.skip("PyTorch is not installed; add it with: pip install -e '.[oracle]'")
    torch.set_num_threads(1)
    return torch
