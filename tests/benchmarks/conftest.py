"""The benchmarks are scripts, which find what they share beside them."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))


@pytest.fixture
def alone(monkeypatch):
    """As if nobody but minigrad took part: starting PyTorch takes seconds."""
    import bench_ops
    import bench_startup
    from peers.contestants import CONTESTANTS

    only = [contestant for contestant in CONTESTANTS if contestant.peer == "minigrad"]
    for script in (bench_ops, bench_startup):
        monkeypatch.setattr(script, "CONTESTANTS", only)
