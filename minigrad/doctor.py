"""`python -m minigrad doctor`: what is installed, what is missing, and the command that adds it.

Exit code 0 when the main job can run here, else 1. Nothing is installed or changed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path

from packaging.requirements import Requirement

from minigrad.machine import processor, usable_cores

PACKAGE = Path(__file__).resolve().parent
MODELS = PACKAGE.parent / "models"  # installed side by side, from a checkout or from a wheel
EXTRAS = {"test": "runs the tests", "oracle": "compares with PyTorch in the tests", "dev": "linters"}


@dataclass
class Report:
    """What is printed. A problem stops the main job, advice does not."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def section(self, title: str) -> None:
        """Start a section."""
        self.lines += ["", title]

    def row(self, name: str, value: object) -> None:
        """Add a line to the section."""
        self.lines.append(f"  {name:<12} {value}")

    def __str__(self) -> str:
        found = [f"problem: {text}" for text in self.problems] + [f"advice: {text}" for text in self.advice]
        verdict = (
            "The main job cannot run yet." if self.problems else "Everything the main job needs is here."
        )
        return "\n".join([*self.lines, "", *found, verdict]).lstrip("\n")


def pip_install(*arguments: str) -> str:
    """The command that installs something into the Python that runs now, quoted for a shell.

    >>> pip_install("numpy>=2").replace(sys.executable, "python")
    'python -m pip install "numpy>=2"'
    """
    words = [sys.executable, "-m", "pip", "install", *arguments]
    return " ".join(f'"{word}"' if set(word) & set(" <>=!~[]") else word for word in words)


INSTALL = pip_install("-e", str(PACKAGE.parent))


def system(report: Report) -> None:
    """Python, operating system, processor and memory."""
    report.section("System")
    report.row("python", f"{platform.python_version()} at {sys.executable}")
    report.row("system", platform.platform())
    report.row("processor", f"{processor()}, {usable_cores()} cores usable")
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        report.row("memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB")


def packages(report: Report) -> None:
    """Versions of what minigrad requires and of what its extras would add, as its own metadata names them."""
    report.section("Packages")
    try:
        requirements = [Requirement(text) for text in metadata.requires("minigrad") or []]
        report.row("minigrad", f"{metadata.version('minigrad')} at {PACKAGE}")
    except metadata.PackageNotFoundError:
        report.row("minigrad", f"not installed, so what it needs is not known; found at {PACKAGE}")
        report.advice.append(f"install this folder, and what it needs, with: {INSTALL}")
        return
    for requirement in (r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})):
        state = _state(requirement) or _import_error(requirement)
        report.row(requirement.name, state or _version(requirement))
        if state:
            command = pip_install(_plain(requirement))
            report.problems.append(f"{requirement.name} is needed but {state}; add it with: {command}")
    for extra in metadata.metadata("minigrad").get_all("Provides-Extra") or []:
        members = [r for r in requirements if r.marker is not None and r.marker.evaluate({"extra": extra})]
        missing = [r for r in members if _state(r)]
        for requirement in members:
            report.row(requirement.name, f"{_state(requirement) or _version(requirement)} (extra {extra!r})")
        if missing:
            purpose = EXTRAS.get(extra, "optional")
            report.advice.append(f"extra {extra!r} ({purpose}): {pip_install(*map(_plain, missing))}")


def _plain(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"


def _version(requirement: Requirement) -> str | None:
    try:
        return metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return None


def _state(requirement: Requirement) -> str:
    """What is wrong with an installed package; empty when nothing is."""
    version = _version(requirement)
    if version is None:
        return "missing"
    fits = requirement.specifier.contains(version, prereleases=True)
    return "" if fits else f"has version {version}, not {requirement.specifier}"


def _import_error(requirement: Requirement) -> str:
    try:
        import_module(requirement.name.replace("-", "_"))
    except Exception as error:  # a broken installation may raise anything; the report must go on
        return f"cannot be imported ({type(error).__name__}: {error})"
    return ""


def devices(report: Report) -> None:
    """Which devices tensors can lie on, why others cannot be used, and the kernels that are active on each."""
    from minigrad.backend import available_devices, get_backend
    from minigrad.errors import ArgumentError, DeviceError

    report.section("Devices")
    chosen = os.environ.get("MINIGRAD_DEVICE")
    for name in dict.fromkeys([*available_devices(), *([chosen] if chosen else []), "cuda"]):
        try:
            kernels = len(get_backend(name).kernels)
        except DeviceError as error:
            report.row(name, f"not available: {error}")
            if name == chosen:
                report.problems.append(
                    f"MINIGRAD_DEVICE={chosen} names a device that is not available: {error}; unset it"
                )
        except ArgumentError as error:  # in the environment
            report.row(name, f"cannot be set up: {error}")
            report.problems.append(str(error))
        else:
            default = " (default)" if name == (chosen or "cpu") else ""
            active = f"kernels for {kernels} operations" if kernels else "plain NumPy definitions, no kernels"
            report.row(name, f"ready{default}; {active}")


def cpu_kernels(report: Report) -> None:
    """Whether the environment leaves kernels out, their threads, the vectors they use, and where they are kept."""
    from minigrad.backend.native import table
    from minigrad.backend.threads import get_num_threads
    from minigrad.errors import ArgumentError

    report.section("Kernels for the CPU")
    try:
        off, threads = table.switched_off(), get_num_threads()
    except ArgumentError as error:
        report.row("settings", error)
        report.problems.append(str(error))
        return
    partly = " but those of convolutions, by MINIGRAD_CONV" if os.environ.get("MINIGRAD_CONV") else ""
    report.row("switched", f"off, by {off}" if off else f"on{partly}")
    report.row("threads", f"{threads} (MINIGRAD_NUM_THREADS changes it)")
    if off:
        report.advice.append(
            f"kernels are switched off by {off}: training takes several times longer; unset it"
        )
        return
    try:
        from minigrad.backend.native.instructions import has_wide_registers
        from minigrad.backend.native.kept_code import cache_folder
    except Exception as error:  # a broken installation may raise anything; the report must go on
        report.row("compiler", f"Numba cannot be imported ({type(error).__name__}: {error})")
        return
    report.row("vectors", "512 bits (AVX-512)" if has_wide_registers() else "256 bits or fewer (AVX2, NEON)")
    try:
        folder = cache_folder()
    except RuntimeError as error:
        report.row("kept in", f"nowhere: {error}")
        writable = False
    else:
        existing, writable = _writable(folder)
        compiled = sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
        state = f"{compiled} compiled" if compiled else "none compiled yet"
        report.row("kept in", f"{folder} ({state}{'' if writable else f'; not writable: see {existing}'})")
    if not writable:
        report.advice.append(
            "compiled kernels cannot be kept: set MINIGRAD_CACHE_DIR to a folder that can be written"
        )


def _writable(folder: Path) -> tuple[Path, bool]:
    """The nearest folder (or file, in the way) above one that exists, or itself, and whether it can be written."""
    existing = next(f for f in [folder, *folder.absolute().parents] if f.exists())
    return existing, existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def blas(report: Report) -> None:
    """The library behind matrix multiplication, its threads, and the vector instructions NumPy found."""
    import numpy as np

    config = np.show_config(mode="dicts")
    library = config.get("Build Dependencies", {}).get("blas", {})
    report.section("BLAS")
    report.row("library", f"{library.get('name', 'unknown')} {library.get('version', '')}".rstrip())
    report.row("threads", _blas_threads())
    report.row("vectors", ", ".join(config.get("SIMD Extensions", {}).get("found", [])) or "baseline")


def _blas_threads() -> str:
    """As the library itself says, where it is one that can be asked."""
    try:
        from minigrad.backend.threads import blas_libraries

        counts = sorted({library["num_threads"] for library in blas_libraries()})
    except ImportError:  # threadpoolctl, which the packages' section has told of
        counts = []
    if counts:
        return f"{', '.join(map(str, counts))} (MINIGRAD_NUM_THREADS changes it)"
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name):
            return f"{os.environ[name]} by {name}"
    return f"not limited; {usable_cores()} cores usable (OMP_NUM_THREADS changes it)"


def data(report: Report) -> None:
    """Where datasets are kept, whether that folder can be written, and whether MNIST is there."""
    from minigrad.data.cache import data_folder
    from minigrad.data.mnist import FILES

    report.section("Data")
    folder = data_folder()
    existing, writable = _writable(folder)
    free = f"{shutil.disk_usage(existing).free / 2**30:.1f} GiB free"
    report.row("folder", f"{folder} ({'writable' if writable else f'not writable: see {existing}'}, {free})")
    missing = [file.name for file in FILES.values() if not (folder / "mnist" / file.name).is_file()]
    if missing and not writable:
        report.row("MNIST", "not there, and nowhere to put it")
        report.problems.append(
            f"MNIST cannot be kept: {existing} is not a folder that can be written; make it one, "
            "or set MINIGRAD_DATA to another folder"
        )
    elif missing:
        report.row("MNIST", f"{len(missing)} of {len(FILES)} files to be downloaded when first used")
    else:
        report.row("MNIST", "complete")


def find_module(name: str, path: list[str]) -> Path | None:
    """Where `import name` would find a package or module, given a module search path; None where it would not."""
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            folders = list(spec.submodule_search_locations or [])
            return Path(folders[0] if folders else spec.origin or name).resolve()
    return None


def shadows(report: Report) -> None:
    """Whether scripts get our `models`, which has a common name, or somebody else's."""
    report.section("Packages that scripts import")
    here = Path.cwd().resolve()
    # `python -m` puts the current folder first, a script its own folder: look as a script would.
    path = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    for name, ours in (("minigrad", PACKAGE), ("models", MODELS)):
        found = find_module(name, path)
        report.row(name, found or "not found")
        if found is None:
            report.problems.append(f"scripts do not find {name!r}; add it with: {INSTALL}")
        elif found != ours:
            report.problems.append(
                f"another {name!r} shadows ours: {found} comes before {ours}; "
                "uninstall or rename it, or install minigrad into a fresh virtual environment"
            )
    local = find_module("models", [str(here)])
    if local is not None and local != MODELS and local.parent == here:
        report.advice.append(
            f"this folder holds another 'models' ({local}): `python -m` and notebooks started here import that one"
        )


def main(arguments: list[str]) -> int:
    """Print the report; 0 when the main job can run here, else 1."""
    argparse.ArgumentParser(prog="python -m minigrad doctor", description=__doc__).parse_args(arguments)
    report = Report()
    for section in (system, packages, devices, cpu_kernels, blas, data, shadows):
        section(report)
    print(report)
    return 1 if report.problems else 0
