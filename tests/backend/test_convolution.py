"""The convolution kernels, called directly, against the plain definitions in float64.

Results lie between rows of NaN and are NaN beforehand, as is all memory that kernels ask for: what is not written, what
is read beyond an end, and what is written there shows.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.backend import get_backend
from minigrad.backend.native import conv_depthwise, conv_direct, conv_winograd, conv_winograd_wide
from minigrad.backend.native.channel_statistics import combine
from minigrad.backend.native.conv_finish import NOTHING
from minigrad.backend.native.team import team
from minigrad.op import get_operation

MARGIN = 256  # numbers of NaN on either side of an array
XP = get_backend("cpu").xp


class Case(NamedTuple):
    """A convolution; depthwise ones have O = C groups."""

    N: int = 2
    C: int = 16
    O: int = 16
    size: tuple[int, int] = (6, 5)
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def counts(self) -> tuple[int, ...]:
        columns = zip(self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in columns)

    def settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}


class Direct:
    """Any window and channels."""

    tolerance, module = 3e-6, conv_direct

    @staticmethod
    def takes(case: Case) -> bool:
        return case.groups == 1 and case.dilation == (1, 1)

    def convolve(self, case, x, w, y, **how):
        self.module.convolve(x, w, y, case.stride, *case.padding, **how)

    def input_gradient(self, case, g, w, gx):
        self.module.input_gradient(g, w, gx, case.stride, case.padding)

    def weight_gradient(self, case, x, g, gw):
        self.module.weight_gradient(x, g, gw, case.stride, case.padding)

    def rows(self, case) -> np.ndarray:
        """How many pixels each part of y has of which statistics are gathered, in their order."""
        return self.module.parts_of(case.N, case.counts, case.size, case.C, case.O, case.kernel, case.stride)


class Winograd:
    """3 x 3 with stride 1, channels in whole vectors."""

    tolerance = 1e-5

    def __init__(self, module: Any) -> None:
        self.module = module

    @staticmethod
    def takes(case: Case) -> bool:
        return Direct.takes(case) and case[4:6] == ((3, 3), (1, 1)) and case.C % 16 == case.O % 16 == 0

    def convolve(self, case, x, w, y, **how):
        self.module.convolve(x, w, y, *case.padding, **how)

    def input_gradient(self, case, g, w, gx):
        self.module.convolve(g, w, gx, *(2 - p for p in case.padding), by_input=True)

    def weight_gradient(self, case, x, g, gw):
        self.module.weight_gradient(x, g, gw, *case.padding)

    def rows(self, case) -> np.ndarray:
        return np.full(case.N, float(case.counts[0] * case.counts[1]))


class Depthwise:
    """A channel by itself."""

    tolerance, module = 3e-6, conv_depthwise

    def takes(self, case: Case) -> bool:
        return self.module.suits(case.C, case.O, case.groups)

    def convolve(self, case, x, w, y, **how):
        self.module.convolve(x, w, y, case.stride, case.padding, case.dilation, **how)

    def input_gradient(self, case, g, w, gx):
        self.module.input_gradient(g, w, gx, case.stride, case.padding, case.dilation)

    def weight_gradient(self, case, x, g, gw):
        self.module.weight_gradient(x, g, gw, case.stride, case.padding, case.dilation)

    def rows(self, case) -> np.ndarray:
        return self.module.parts_of(case.N, case.counts, case.C, case.stride)


KERNELS: dict[str, Any] = {
    "direct": Direct(),
    "winograd": Winograd(conv_winograd),
    "winograd_wide": Winograd(conv_winograd_wide),
    "depthwise": Depthwise(),
}

CASES = [
    Case(),
    Case(N=1, size=(1, 1)),
    Case(N=40, C=16, O=32, size=(7, 9)),
    Case(N=3, C=48, O=32, size=(13, 10), padding=(0, 2)),
    Case(N=2, C=32, O=16, size=(5, 4), padding=(3, 3)),
    Case(N=1, C=16, O=16, size=(3, 3), padding=(0, 0)),
    Case(N=17, C=32, O=48, size=(4, 8), padding=(2, 1)),
    Case(N=2, C=1, O=1, size=(1, 1), kernel=(1, 1), padding=(0, 0)),
    Case(N=1, C=3, O=64, size=(9, 11), kernel=(7, 7), stride=(2, 2), padding=(3, 3)),
    Case(N=5, C=17, O=33, size=(8, 7), kernel=(1, 1), padding=(0, 0)),
    Case(N=4, C=31, O=15, size=(8, 7), kernel=(1, 1), stride=(2, 3), padding=(0, 0)),
    Case(N=3, C=5, O=70, size=(6, 1), kernel=(1, 1), stride=(3, 2), padding=(3, 2)),
    Case(N=33, C=7, O=9, size=(4, 5), kernel=(2, 4), stride=(1, 3), padding=(1, 3)),
    Case(N=2, C=70, O=20, size=(9, 3), kernel=(5, 2), stride=(3, 1), padding=(2, 0)),
    Case(N=2, C=64, O=64, size=(40, 41)),
]
DEPTHWISE_CASES = [
    Case(),
    Case(N=1, C=17, size=(1, 1)),
    Case(N=2, C=1, size=(6, 7), stride=(2, 1)),
    Case(N=2, C=15, size=(5, 4), kernel=(2, 2), dilation=(2, 1)),
    Case(N=3, C=16, size=(7, 7), kernel=(5, 5), padding=(2, 2)),
    Case(N=2, C=35, size=(8, 13), stride=(2, 2)),
    Case(N=2, C=32, size=(9, 12), kernel=(2, 3), stride=(3, 2), padding=(3, 2)),
    Case(N=2, C=31, size=(12, 13), kernel=(3, 4), stride=(2, 3), padding=(2, 5), dilation=(3, 2)),
    Case(N=1, C=48, size=(13, 12), kernel=(4, 3), stride=(2, 4), padding=(0, 6), dilation=(2, 6)),
    Case(N=40, C=70, size=(3, 2), kernel=(1, 1), stride=(2, 1), padding=(0, 0)),
    Case(N=2, C=64, size=(50, 51)),  # several blocks to an image
]


def as_depthwise(case: Case) -> Case:
    return case._replace(O=case.C, groups=case.C)


FIXED = [
    pytest.param(name, case, id=f"{name}-{number}")
    for name, kernel in KERNELS.items()
    for number, case in enumerate(map(as_depthwise, DEPTHWISE_CASES) if name == "depthwise" else CASES)
    if name in ("direct", "depthwise") or kernel.takes(case)
]


def guarded(values: Any) -> np.ndarray:
    """A float32 array with these values, or of this shape and full of NaN, between margins of NaN."""
    shape = values if isinstance(values, tuple) else values.shape
    count = int(np.prod(shape))
    buffer = np.full(count + 2 * MARGIN, np.nan, np.float32)
    array = buffer[MARGIN : MARGIN + count].reshape(shape)
    if not isinstance(values, tuple):
        array[...] = values
    return array


def same(what: str, got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    buffer = got
    while buffer.base is not None:
        buffer = buffer.base
    assert np.isnan(buffer[:MARGIN]).all(), f"{what}: written before the beginning"
    assert np.isnan(buffer[-MARGIN:]).all(), f"{what}: written behind the end"
    assert got.shape == expected.shape
    assert not np.isnan(got).any(), f"{what}: NaN, so not written, or made of what is not an operand"
    worst, scale = np.abs(got - expected).max(), np.abs(expected).max()
    assert worst <= tolerance * scale, f"{what}: off by {worst:.3g}, the largest magnitude is {scale:.3g}"


def images(rng: Any, n: int, size: tuple[int, ...], channels: int) -> np.ndarray:
    return guarded(rng.standard_normal((n, *size, channels)))


def operands(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, w and g, of a convolution and its gradients."""
    rng = np.random.default_rng(case.N + case.C)
    w = guarded(rng.standard_normal((case.O, case.C // case.groups, *case.kernel)))
    return images(rng, case.N, case.size, case.C), w, images(rng, case.N, case.counts, case.O)


def first(a: np.ndarray) -> np.ndarray:
    """(N, H, W, C) as float64 (N, C, H, W)."""
    return a.astype(np.float64).transpose(0, 3, 1, 2)


def last(a: np.ndarray) -> np.ndarray:
    return a.transpose(0, 2, 3, 1)


def plain(name: str, *arrays: Any, **params: Any) -> np.ndarray:
    return get_operation(name).forward(XP, *arrays, **params)


def results(kernel: Any, case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, gx and gw by the kernel."""
    x, w, g = operands(case)
    y, gx, gw = guarded(g.shape), guarded(x.shape), guarded(w.shape)
    kernel.convolve(case, x, w, y)
    kernel.input_gradient(case, g, w, gx)
    kernel.weight_gradient(case, x, g, gw)
    return y, gx, gw


def check(name: str, case: Case) -> None:
    kernel, how = KERNELS[name], case.settings()
    x, w, g = operands(case)
    y, gx, gw = results(kernel, case)
    w64 = w.astype(np.float64)
    same("y", y, last(plain("conv2d", first(x), w64, None, **how)), kernel.tolerance)
    expected = plain("conv_transpose2d", first(g), w64, None, size=case.size, **how)
    same("gx", gx, last(expected), kernel.tolerance)
    expected = plain("conv2d_weight_gradient", first(x), first(g), kernel_size=case.kernel, **how)
    same("gw", gw, expected, kernel.tolerance)


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Memory that kernels get is full of NaN."""

    def empty(shape: Any, dtype: Any) -> np.ndarray:
        return np.full(shape, np.nan, dtype)

    for kernel in KERNELS.values():
        monkeypatch.setattr(kernel.module, "empty", empty)


@pytest.mark.parametrize("name, case", FIXED)
def test_fixed_cases_equal_the_plain_definitions(name, case):
    check(name, case)


@st.composite
def cases(draw: Any, name: str) -> Case:
    """Any convolution that the kernel takes, of moderate size."""
    pair = lambda low, high: (draw(st.integers(low, high)), draw(st.integers(low, high)))  # noqa: E731
    kernel, stride, padding, dilation = pair(1, 7), pair(1, 3), pair(0, 3), (1, 1)
    C, O = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    if name.startswith("winograd"):
        kernel, stride, C, O = (3, 3), (1, 1), C // 20 * 16 + 16, O // 20 * 16 + 16
    if name == "depthwise":
        dilation = pair(1, 4)
    least = [max(1, d * (k - 1) + 1 - 2 * p) for k, p, d in zip(kernel, padding, dilation, strict=True)]
    size = tuple(draw(st.integers(n, n + 12)) for n in least)
    N = min(draw(st.integers(1, 40)), max(1, 20_000 // (size[0] * size[1] * max(C, O))))
    case = Case(N, C, O, size, kernel, stride, padding, dilation)
    return as_depthwise(case) if name == "depthwise" else case


@settings(max_examples=100)
@example(("direct", Case(N=1, C=1, O=1, size=(1, 1), kernel=(2, 2), stride=(3, 3), padding=(3, 3))))
@given(st.sampled_from(sorted(KERNELS)).flatmap(lambda name: st.tuples(st.just(name), cases(name))))
def test_any_case_equals_the_plain_definitions(drawn):
    check(*drawn)


FINISHED = [
    ("direct", Case(N=3, C=20, O=37, size=(7, 6), kernel=(3, 2), stride=(2, 1))),
    ("direct", Case(N=34, C=16, O=32, size=(5, 4), kernel=(1, 1), padding=(0, 0))),
    ("direct", Case(N=2, C=64, O=32, size=(60, 61))),  # several bands to an image
    ("winograd", Case(N=35, C=32, O=16, size=(5, 9))),
    ("winograd_wide", Case(N=3, C=16, O=48, size=(6, 7), padding=(2, 0))),
    ("depthwise", as_depthwise(Case(N=3, C=35, size=(8, 9), stride=(1, 2)))),
    ("depthwise", as_depthwise(Case(N=2, C=64, size=(50, 51)))),
    ("depthwise", as_depthwise(Case(N=3, C=5, size=(8, 9)))),
]


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("added", ["nothing", "bias", "residual", "both"])
@pytest.mark.parametrize("name, case", FINISHED)
def test_finishing_adds_cuts_off_and_gathers_statistics(name, case, added, relu):
    kernel, rng = KERNELS[name], np.random.default_rng(3)
    x, w, _ = operands(case)
    y = guarded((case.N, *case.counts, case.O))
    expected = last(plain("conv2d", first(x), w.astype(np.float64), None, **case.settings()))
    finishing = NOTHING._replace(relu=relu)
    if added in ("bias", "both"):
        bias = guarded(10 * rng.standard_normal(case.O))
        finishing, expected = finishing._replace(bias=bias), expected + bias
    if added in ("residual", "both"):
        residual = images(rng, case.N, case.counts, case.O)
        finishing, expected = finishing._replace(residual=residual.reshape(-1)), expected + residual
    if relu:
        expected = np.maximum(expected, 0)
    rows = kernel.rows(case)
    sums = np.full((len(rows), 2, case.O), np.nan)
    kernel.convolve(case, x, w, y, finishing=finishing._replace(sums=sums.reshape(-1)))
    same("y", y, expected, kernel.tolerance)
    assert rows.sum() * case.O == y.size
    mean, var = combine(sums, rows)
    y64 = y.astype(np.float64)  # of the very numbers that were written
    np.testing.assert_allclose(mean, y64.mean((0, 1, 2)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(var, y64.var((0, 1, 2)), rtol=1e-5, atol=1e-6)


def test_relu_keeps_nan():
    case = Case()
    for name in ("direct", "winograd", "winograd_wide"):
        x, w, _ = operands(case)
        y = guarded((case.N, *case.counts, case.O))
        x[1, 2, 2, 3] = np.nan
        KERNELS[name].convolve(case, x, w, y, finishing=NOTHING._replace(relu=True))
        assert np.isnan(y[1, 2, 2]).all()
        assert (y[0] >= 0).all()


@pytest.mark.parametrize(
    "name, case",
    [
        ("direct", Case(N=19, C=20, O=40, size=(9, 8), stride=(2, 1))),
        ("direct", Case(N=2, C=64, O=32, size=(60, 61))),
        ("winograd", Case(N=37, C=32, O=16, size=(9, 6))),
        ("winograd_wide", Case(N=9, C=32, O=32, size=(9, 6))),
        ("depthwise", as_depthwise(Case(N=9, C=70, size=(30, 31), stride=(2, 1)))),
    ],
)
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, name, case):
    kernel, seen = KERNELS[name], []
    x, w, _ = operands(case)
    for threads in (1, 2, 3, 2):
        monkeypatch.setattr(team, "size", threads)
        y, sums = (
            guarded((case.N, *case.counts, case.O)),
            np.full(len(kernel.rows(case)) * 2 * case.O, np.nan),
        )
        kernel.convolve(case, x, w, y, finishing=NOTHING._replace(sums=sums))
        seen.append([a.tobytes() for a in (*results(kernel, case), y, sums)])
    assert seen.count(seen[0]) == len(seen)


HASWELL = (  # what a processor with AVX2 has, and none of AVX-512
    "+64bit,+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+popcnt,+movbe,+cx16,"
    "+fxsr,+xsave,+mmx,+cmov,+cx8"
)

# Run the fixed cases; then look at the machine code of every kernel that was compiled for them
ON_HASWELL = """
import gc, sys, pytest
from numba.core.dispatcher import Dispatcher
from minigrad.backend.native.instructions import has_wide_registers
assert not has_wide_registers()
code = pytest.main([sys.argv[1], "-q", "-p", "no:cacheprovider", "-k", sys.argv[2]])
compiled = [d for d in gc.get_objects() if isinstance(d, Dispatcher) and ".native." in d.py_func.__module__]
asm = "".join(text for d in compiled if d.signatures for text in d.inspect_asm().values())
print("zmm", asm.count("%zmm"), "ymm", asm.count("%ymm"), "fused", asm.count("vfmadd"))
sys.exit(int(code))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="AVX2 is of x86 processors")
def test_the_same_on_processors_without_avx512(tmp_path):
    settings = {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": HASWELL,
        "MINIGRAD_CACHE_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", ON_HASWELL, __file__, "test_fixed_cases"],
        env=os.environ | settings,
        cwd=Path(mg.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(FIXED)} passed" in done.stdout
    _, zmm, _, ymm, _, fused = done.stdout.splitlines()[-1].split()
    assert int(zmm) == 0
    assert min(int(ymm), int(fused)) > 100
