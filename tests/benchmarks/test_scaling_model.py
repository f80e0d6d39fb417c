"""The scaling model: limits that need no measurement, and its check against a made-up one."""

from __future__ import annotations

import json

import pytest
import scaling_model
from scaling_model import Cluster, Link, all_reduce_seconds, exposed_seconds, in_buckets, slowest

from minigrad.cli import clear_errors

FREE = Cluster(Link(0.0, 1e30), Link(0.0, 1e30), 8)


def efficiencies(*arguments: str) -> list[float]:
    options = scaling_model.parse_arguments(list(arguments))
    return [float(row[-1]) for row in scaling_model.predict(options)]


def test_free_links_and_equal_steps_scale_perfectly():
    assert all_reduce_seconds(1e9, 1024, FREE) < 1e-9
    fast = ["--bus-gb-s", "1e12", "--network-gb-s", "1e12", "--bus-us", "1e-9", "--network-us", "1e-9"]
    assert set(efficiencies(*fast, "--jitter", "1e-12")) == {1.0}


def test_slow_links_decide_and_efficiency_falls_with_every_doubling():
    found = efficiencies("--network-gb-s", "0.1")
    assert found == sorted(found, reverse=True)
    assert found[3] > 0.9 > 0.7 > found[4]  # within a node, and beyond


def test_a_ring_within_a_node_moves_every_byte_about_twice():
    cluster = Cluster(Link(0.0, 1.0), Link(0.0, 1.0), 1000)
    assert all_reduce_seconds(1.0, 1000, cluster) == pytest.approx(2 * 999 / 1000)
    assert all_reduce_seconds(1.0, 1, cluster) == 0


def test_small_messages_between_many_nodes_go_by_a_tree():
    cluster = Cluster(Link(0.0, 1e30), Link(1.0, 1e30), 1)
    assert all_reduce_seconds(1.0, 1024, cluster) == pytest.approx(20)


def test_what_fits_beside_backward_is_hidden_but_for_the_last_bucket():
    assert exposed_seconds(3.0, [1.0] * 4, lambda n: 0.25) == pytest.approx(0.25)
    assert exposed_seconds(3.0, [1.0] * 4, lambda n: 2.0) == pytest.approx(1.5 + 8 - 3)
    assert in_buckets(0.5, 1, 8) == [0.5]
    assert slowest(1.0, 1) == 0


def test_a_check_adds_up(tmp_path, capsys):
    steps = {"ranks": [0.011, 0.011, 0.012]}
    alone = {"mean": 0.009, "slowest": 0.010}
    found = {"ranks": 2, "steps": steps, "alone": alone, "gradient_bytes": 1 << 20, "small_messages": 5}
    found["all_reduce"] = {"1024": 1e-4, str(1 << 20): 5e-4, str(1 << 22): 2e-3}
    file = tmp_path / "found.json"
    file.write_text(json.dumps(found))
    assert scaling_model.main(["--check", str(file)]) == 0
    assert "predicted / measured: 1.000" in capsys.readouterr().out  # 9 + 1 + 0.5 + 5 x 0.1 = 11
    file.write_text("{}")
    with pytest.raises(SystemExit), clear_errors("scaling_model.py"):
        scaling_model.main(["--check", str(file)])
    assert "no result of bench_data_parallel.py" in capsys.readouterr().err


def test_assumptions_are_printed(capsys):
    assert scaling_model.main(["--step-ms", "12"]) == 0
    said = capsys.readouterr().out
    assert "--step-ms 12" in said
    assert "--network-gb-s 45" in said
    assert said.count("\n") > 20
