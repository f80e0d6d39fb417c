"""The page as one file: what is in it, what was left out, and that nothing in it asks for more."""

import json
import re

import numpy as np
import pytest

from minigrad.record import RunWriter
from minigrad.viz.page import export_page
from minigrad.viz.page.command import main

pytestmark = pytest.mark.usefixtures("without_plotly")


def store(path):
    text = path.read_text()
    return json.loads(
        re.search(r'<script type="application/json" id="store">(.*?)</script>', text, re.DOTALL)[1]
    )


def test_the_file_holds_all_answers(recorded, second, tmp_path):
    size, left_out = export_page([recorded, second], tmp_path / "page.html")
    assert size == (tmp_path / "page.html").stat().st_size
    assert left_out == []
    held = store(tmp_path / "page.html")
    for run in (0, 1):
        for question in (
            "state?run=@",
            "lines?run=@",
            "structure?run=@",
            "heat?run=@&what=dead&kind=output",
            "influence?run=@&method=taylor",
            "histograms?run=@&kind=weight&name=conv.weight",
            "units?run=@&kind=output&name=conv&what=influence.taylor",
        ):
            assert "api/" + question.replace("@", str(run)) in held["answers"]
    assert sorted(held["graphs"]) == [f"graph?run={run}&step={step}" for run in (0, 1) for step in (1, 31)]


def test_a_text_of_the_run_ends_no_script_and_nothing_is_asked_for(recorded, tmp_path):
    export_page([recorded], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count("<script") == text.count("</script>") == 3
    assert "default-src &#x27;none&#x27;" in text
    assert "unsafe-eval" not in text
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:|//|\w+\.(?:js|css))", text)
    assert "</script>" in store(tmp_path / "page.html")["answers"]["api/structure?run=0"]["notes"][0][5]


def test_a_small_budget_leaves_out_and_says_so(tmp_path):
    with RunWriter(tmp_path / "run", {}) as writer:
        signal = writer.signal("weight", "w", (9, 5), 9)
        norms = writer.layout("unit_norms", "float32", ("norm",), [(signal, 9)])
        for step in range(1, 200):
            writer.matrix(step, norms, np.arange(9))
            writer.step(step, loss=1.0)
    _, left_out = export_page([tmp_path / "run"], tmp_path / "page.html", budget=1000)
    assert left_out == ["run: numbers by unit at more than 20 steps"]
    units = store(tmp_path / "page.html")["answers"]["api/units?run=0&kind=weight&name=w&what=unit_norms"]
    assert len(units["steps"]) <= 21
    assert units["recorded"] == 199


def test_the_command_tells_the_size(recorded, tmp_path, capsys):
    assert main([str(recorded), "--export", str(tmp_path / "one.html")]) == 0
    assert re.search(r"one\.html: \d+\.\d MB", capsys.readouterr().out)
    with pytest.raises(SystemExit):
        main([str(recorded), "--export", str(tmp_path / "no" / "one.html")])
