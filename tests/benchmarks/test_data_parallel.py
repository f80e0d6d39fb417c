"""The benchmark of data parallelism, on a network too small to tell anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import bench_data_parallel

from tests.distributed.launch import needs_mpi

pytestmark = needs_mpi


def test_it_measures_and_the_model_can_read_it(tmp_path):
    out = tmp_path / "found.json"
    script = Path(bench_data_parallel.__file__)
    command = [
        sys.executable,
        script,
        "--tiny",
        "--batch",
        "8",
        "--rounds",
        "1",
        "--steps",
        "1",
        "--out",
        out,
    ]
    ended = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    assert "ranks, norms too" in ended.stdout
    found = json.loads(out.read_text())
    assert set(found["steps"]) == set(bench_data_parallel.KINDS)
    assert all(seconds > 0 for seconds in found["all_reduce"].values())
    model = [sys.executable, str(script.with_name("scaling_model.py")), "--check", str(out)]
    assert "predicted / measured" in subprocess.run(model, capture_output=True, text=True).stdout
