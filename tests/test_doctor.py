"""`python -m minigrad` and its doctor: what it finds, what it advises, and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad import __main__ as command_line
from minigrad import doctor
from minigrad.data.mnist import FILES

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m minigrad ARGUMENTS` as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "minigrad", *arguments],
        cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True,
    )  # fmt: skip


def make_package(folder: Path, name: str, code: str = "", version: str | None = None) -> Path:
    """A package on disk, with the metadata of an installed distribution if it has a version."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)
    if version is not None:
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder / name


def requires(monkeypatch: pytest.MonkeyPatch, *requirements: str) -> doctor.Report:
    """The packages section, were these minigrad's requirements."""
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: list(requirements))
    report = doctor.Report()
    doctor.packages(report)
    return report


class TestCommandLine:
    def test_no_command_shows_the_commands(self, capsys):
        assert command_line.main([]) == 0
        assert "doctor" in capsys.readouterr().out

    def test_an_unknown_command_is_refused_with_the_nearest_one(self, capsys):
        assert command_line.main(["docter"]) == 2
        error = capsys.readouterr().err
        assert "unknown command 'docter'" in error
        assert "Did you mean 'doctor'?" in error

    def test_an_unknown_option_is_refused(self):
        result = run("doctor", "--fix", cwd=ROOT)
        assert result.returncode == 2
        assert "--fix" in result.stderr
        assert "Traceback" not in result.stderr

    def test_the_whole_report(self, tmp_path):
        """The suite runs in an installation that can run the main job, so the doctor has to say so."""
        result = run("doctor", cwd=ROOT, MINIGRAD_DATA=str(tmp_path / "data"))
        assert result.returncode == 0, result.stdout + result.stderr
        for expected in (
            "python",
            "numpy",
            "torch",
            "BLAS",
            "Devices",
            "cpu",
            str(tmp_path / "data"),
            "models",
        ):
            assert expected in result.stdout
        assert "Everything the main job needs is here." in result.stdout


class TestPackages:
    def test_a_missing_requirement_is_a_problem_with_its_command(self, monkeypatch):
        report = requires(monkeypatch, "numpy>=1", "absent-package>=3.1")
        assert len(report.problems) == 1
        assert f'{sys.executable} -m pip install "absent-package>=3.1"' in report.problems[0]
        assert "cannot run yet" in str(report)

    def test_an_old_version_is_a_problem(self, monkeypatch):
        report = requires(monkeypatch, "numpy>=9999")
        assert len(report.problems) == 1
        assert "not >=9999" in report.problems[0]

    def test_a_package_that_does_not_import_is_a_problem(self, monkeypatch, tmp_path):
        make_package(tmp_path, "broken_package", "raise OSError('its library is gone')", version="1.0")
        monkeypatch.syspath_prepend(tmp_path)
        report = requires(monkeypatch, "broken-package")
        assert len(report.problems) == 1
        assert "OSError: its library is gone" in report.problems[0]

    def test_what_an_extra_lacks_is_advice_only(self, monkeypatch):
        report = requires(
            monkeypatch, "numpy", 'absent-package==1; extra == "oracle"', 'pytest; extra == "oracle"'
        )
        assert not report.problems
        assert len(report.advice) == 1
        assert '"absent-package==1"' in report.advice[0]
        assert "pytest" not in report.advice[0]

    def test_requirements_of_other_systems_do_not_count(self, monkeypatch):
        assert not requires(monkeypatch, 'absent-package; sys_platform == "another"').problems


class TestShadows:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(ROOT)
        (tmp_path / "cwd").mkdir()
        monkeypatch.chdir(tmp_path / "cwd")

    def report(self) -> doctor.Report:
        report = doctor.Report()
        doctor.shadows(report)
        return report

    def test_ours_is_found(self):
        report = self.report()
        assert not report.problems
        assert not report.advice

    @pytest.mark.parametrize("regular", [True, False])
    def test_an_installed_package_of_that_name(self, tmp_path, monkeypatch, regular):
        theirs = make_package(tmp_path / "site", "models")
        if not regular:  # a bare folder is found only where no later entry of the path has a regular package
            (theirs / "__init__.py").unlink()
        monkeypatch.syspath_prepend(tmp_path / "site")
        report = self.report()
        assert [str(theirs) in problem for problem in report.problems] == ([True] if regular else [])

    def test_a_module_of_that_name(self, tmp_path, monkeypatch):
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "models.py").write_text("")
        monkeypatch.syspath_prepend(tmp_path / "site")
        assert "models.py" in self.report().problems[0]

    def test_a_folder_of_that_name_where_we_stand_is_advice(self, tmp_path, monkeypatch):
        make_package(tmp_path / "cwd", "models")
        monkeypatch.syspath_prepend(tmp_path / "cwd")  # as `python -m` does
        report = self.report()
        assert not report.problems
        assert str(tmp_path / "cwd" / "models") in report.advice[0]

    def test_not_installed(self, monkeypatch):
        monkeypatch.setattr(sys, "meta_path", [])
        assert "'models'; add it with" in self.report().problems[1]


class TestData:
    def report(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> doctor.Report:
        monkeypatch.setenv("MINIGRAD_DATA", str(folder))
        report = doctor.Report()
        doctor.data(report)
        return report

    def test_nothing_there_yet(self, monkeypatch, tmp_path):
        folder = tmp_path / "made" / "later"
        report = self.report(monkeypatch, folder)
        assert not report.problems
        assert "4 of 4 files to be downloaded" in str(report)
        assert not folder.parent.exists(), "the doctor only looks"

    def test_all_there(self, monkeypatch, tmp_path):
        (tmp_path / "mnist").mkdir()
        for file in FILES.values():
            (tmp_path / "mnist" / file.name).touch()
        assert "complete" in str(self.report(monkeypatch, tmp_path))

    def test_a_folder_that_cannot_be_made_is_a_problem(self, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("in the way")
        report = self.report(monkeypatch, tmp_path / "file" / "data")
        assert len(report.problems) == 1
        assert str(tmp_path / "file") in report.problems[0]
        assert "MINIGRAD_DATA" in report.problems[0]


class TestDevices:
    def report(self) -> doctor.Report:
        report = doctor.Report()
        doctor.devices(report)
        return report

    def test_the_processor_is_there(self, monkeypatch):
        monkeypatch.delenv("MINIGRAD_DEVICE", raising=False)
        report = self.report()
        assert not report.problems
        assert any("cpu" in line and "ready (default)" in line for line in report.lines)

    def test_a_default_device_that_does_not_exist_is_a_problem(self, monkeypatch):
        monkeypatch.setenv("MINIGRAD_DEVICE", "abacus")
        report = self.report()
        assert len(report.problems) == 1
        assert "MINIGRAD_DEVICE=abacus" in report.problems[0]


class TestKernels:
    def report(self) -> doctor.Report:
        report = doctor.Report()
        doctor.cpu_kernels(report)
        assert not report.problems
        return report

    def row(self, name: str) -> str:
        return next(line for line in self.report().lines if line.split()[:1] == [name])

    def test_on(self, monkeypatch, tmp_path):
        monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path))
        assert "on" in self.row("switched").split()
        assert f"{doctor_threads()} (" in self.row("threads")
        assert " bits" in self.row("vectors")
        assert f"{tmp_path}/kernels/" in self.row("kept")
        assert "none compiled yet" in self.row("kept")
        assert not self.report().advice
        monkeypatch.setenv("MINIGRAD_CONV", "im2col")
        assert "convolutions" in self.row("switched")
        monkeypatch.undo()

    def test_switched_off(self, monkeypatch):
        monkeypatch.setenv("MINIGRAD_KERNELS", "plain")
        assert "off, by MINIGRAD_KERNELS" in self.row("switched")
        assert "MINIGRAD_KERNELS" in self.report().advice[0]
        monkeypatch.undo()

    def test_a_folder_that_cannot_be_written(self, monkeypatch, tmp_path):
        (tmp_path / "file").touch()
        monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path / "file"))
        assert f"not writable: see {tmp_path / 'file'}" in self.row("kept")
        assert "MINIGRAD_CACHE_DIR" in self.report().advice[0]
        monkeypatch.undo()

    @pytest.mark.parametrize("name", ["MINIGRAD_KERNELS", "MINIGRAD_CONV", "MINIGRAD_NUM_THREADS"])
    def test_a_bad_setting_is_a_problem(self, name):
        result = run("doctor", cwd=ROOT, **{name: "wrong"})
        assert result.returncode == 1
        assert f"problem: {name} must be " in result.stdout
        assert not result.stderr


def doctor_threads() -> int:
    from minigrad.backend.threads import get_num_threads

    return get_num_threads()


@pytest.mark.parametrize(
    "variable, threads", [("OMP_NUM_THREADS", "1"), ("OMP_NUM_THREADS", "2"), ("MINIGRAD_NUM_THREADS", "3")]
)
def test_blas_threads_are_the_ones_in_use(variable, threads):
    script = "import minigrad; minigrad.ones(1); from minigrad import doctor as d; r = d.Report(); d.blas(r); print(r)"
    environment = {n: v for n, v in os.environ.items() if not n.endswith("NUM_THREADS")} | {variable: threads}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    line = next(line.split() for line in result.stdout.splitlines() if "threads" in line)
    most = (
        int(threads) if variable.startswith("MINIGRAD") else doctor.usable_cores()
    )  # OpenBLAS starts no more
    assert int(line[1]) == min(int(threads), most)
