"""Moving pictures have a frame for each step, of the numbers that were recorded."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from PIL import Image

from minigrad import record
from minigrad.errors import ArgumentError, DataError
from minigrad.viz import animate_histograms, animate_units, animation
from minigrad.viz.run_histograms import read_histograms
from tests.record.conftest import write_small_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "run"
    write_small_run(folder).close()
    return record.open(folder)


def frames(path) -> list[np.ndarray]:
    with Image.open(path) as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append(np.asarray(image.convert("RGB")))
        return found


def test_a_gif_has_as_many_frames_as_steps(run, tmp_path):
    path = animate_histograms(run, tmp_path / "weights.gif", "fc.weight", fps=5)
    assert path == tmp_path / "weights.gif"
    found = frames(path)
    assert len(found) == len(run.histograms("fc.weight")[0]) == 6
    assert len({frame.tobytes() for frame in found}) == 6
    with Image.open(path) as image:
        assert image.info["duration"] == 200
        assert image.info["loop"] == 0
    assert len(frames(animate_histograms(run, tmp_path / "some.gif", "fc.weight", steps=[10, 40]))) == 2
    assert len(frames(animate_histograms(run, str(tmp_path / "few.GIF"), kind="gradient", steps=3))) == 3


def test_frames_hold_the_steps_numbers_on_fixed_axes(run):
    found = read_histograms(run, ["fc.weight"], "gradient")
    figure, show = animation._histogram_film(found, "gradients")
    (axes,) = figure.axes
    filled, outline = axes.patches
    first = outline.get_data().values.copy()
    ranges = []
    for frame, step in enumerate(found[0].steps):
        show(frame)
        assert figure.get_suptitle() == f"step {step}"
        edges = filled.get_data().edges
        assert np.array_equal(filled.get_data().values, found[0].on(edges)[frame])
        assert np.array_equal(outline.get_data().values, first)
        ranges.append((*axes.get_xlim(), *axes.get_ylim()))
    assert len(set(ranges)) == 1
    assert ranges[0] == pytest.approx((edges[0], edges[-1], 0, 1.08 * found[0].on(edges).max()))
    assert axes.get_title() == "fc.weight"


def test_several_parameters_side_by_side(run, tmp_path):
    one = frames(animate_histograms(run, tmp_path / "one.gif", "fc.weight", steps=1))[0]
    two = frames(animate_histograms(run, tmp_path / "two.gif", ["fc.weight"] * 2, steps=1))[0]
    assert two.shape[1] > 1.3 * one.shape[1]
    with pytest.raises(ArgumentError, match="at most 6 histograms stand side by side, not 7"):
        animate_histograms(run, tmp_path / "seven.gif", ["fc.weight"] * 7)


def test_units_as_moving_bars(run, tmp_path):
    path = animate_units(run, tmp_path / "units.gif", "fc", "output", "dead", steps=[1, 50, 60])
    assert len(frames(path)) == 3
    with pytest.raises(ArgumentError, match="nothing was recorded at step 61"):
        animate_units(run, tmp_path / "units.gif", "fc", "output", "dead", steps=[61])
    with pytest.raises(ArgumentError, match=r"'influence\.snip' was not recorded"):
        animate_units(run, tmp_path / "units.gif", "fc", "output", "influence.snip")


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """A stand-in for ffmpeg that writes the size of what it is given into the file; the function sets how it exits."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def install(status: int) -> None:
        script = folder / "ffmpeg"
        script.write_text(
            f"#!{sys.executable}\n"
            "import sys\n"
            "size = len(sys.stdin.buffer.read())\n"
            f"open(sys.argv[-1], 'w').write(f'{{size}} ' + ' '.join(sys.argv))\nsys.exit({status})\n"
        )
        script.chmod(0o755)

    monkeypatch.setenv("PATH", str(folder))
    return install


def test_mp4_goes_through_ffmpeg(run, tmp_path, ffmpeg):
    ffmpeg(0)
    path = animate_histograms(run, tmp_path / "weights.mp4", "fc.weight", fps=4)
    size, *command = path.read_text().split()
    width, height = map(int, command[command.index("-s") + 1].split("x"))
    assert int(size) == 6 * width * height * 4  # six frames of RGBA
    assert (
        command[command.index("-framerate") + 1 if "-framerate" in command else command.index("-r") + 1]
        == "4"
    )
    assert width % 2 == height % 2 == 0  # which the format asks for


def test_ffmpeg_that_fails_is_told(run, tmp_path, ffmpeg):
    ffmpeg(3)
    with pytest.raises(DataError, match=r"cannot write .*weights\.mp4"):
        animate_histograms(run, tmp_path / "weights.mp4", "fc.weight")


def test_mp4_without_ffmpeg_is_refused_at_once(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ArgumentError, match=r"weights\.mp4 needs ffmpeg, which is not installed: write a \.gif"
    ):
        animate_histograms(run, tmp_path / "weights.mp4", "fc.weight")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("weights.webm", {}, r"as \.gif or \.mp4, not 'weights.webm'"),
        ("weights", {}, r"as \.gif or \.mp4"),
        ("there/is/none/weights.gif", {}, "there is no folder"),
        ("weights.gif", {"fps": 0}, "fps must be a whole number from 1 to 50, not 0"),
        ("weights.gif", {"fps": 2.5}, "not 2.5"),
        ("weights.gif", {"name": "fc.bias"}, "no weight of 'fc.bias' was recorded"),
        ("weights.gif", {"kind": "input"}, "no histograms of kind 'input' were recorded"),
        ("weights.gif", {"steps": []}, "needs at least one step"),
        ("weights.gif", {"steps": 0}, "at least one has to be chosen"),
        (
            "weights.gif",
            {"steps": [10, 11]},
            "nothing was recorded at step 11; there are those of steps 10, 20",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_once(run, tmp_path, path, options, message):
    with pytest.raises(ArgumentError, match=message):
        animate_histograms(run, tmp_path / path, **options)
    assert os.listdir(tmp_path) == []
