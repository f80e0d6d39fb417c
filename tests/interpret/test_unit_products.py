"""The kernel of products summed over positions, beside its plain twin."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.backend import get_backend
from minigrad.backend.base import Backend
from minigrad.backend.native.influence import unit_products
from tests.backend.twins import LAYOUTS, laid, same_with_any_threads

CPU = get_backend("cpu")


def near(got, y, gy, dim):
    """Within rounding of the magnitudes that are added up, of which there may be many more than of their sum."""
    exact = Backend.unit_products(CPU, y, gy, dim)
    assert got.shape == exact.shape
    assert got.dtype == np.float64
    assert (np.abs(got - exact) <= 1e-6 * Backend.unit_products(CPU, abs(y), abs(gy), dim)).all()


SHAPES = [(5, 3, 7, 9), (2, 16, 28, 28), (3, 130, 4, 4), (1, 1, 1, 3), (9, 40, 33), (70, 600, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("gradient_layout", LAYOUTS)
def test_kernel_equals_its_plain_twin(rng, shape, layout, gradient_layout):
    y, gy = (laid(rng.standard_normal(shape, dtype=np.float32), how) for how in (layout, gradient_layout))
    products = same_with_any_threads(lambda: unit_products(y, gy, 1))
    if layout == "strided":
        assert products is None
    else:
        near(products, y, gy, 1)
    near(CPU.unit_products(y, gy, 1), y, gy, 1)


@pytest.mark.parametrize("shape", [(4, 65, 70), (2, 3, 5, 64)])
def test_features_may_be_the_last_dimension(rng, shape):
    y, gy = rng.standard_normal((2, *shape), dtype=np.float32)
    near(unit_products(y, gy, y.ndim - 1), y, gy, -1)


def test_the_plain_twin_is_the_sum_over_positions(rng):
    y, gy = rng.standard_normal((2, 3, 4, 5, 6))
    np.testing.assert_allclose(
        Backend.unit_products(CPU, y, gy, 1), np.einsum("nchw,nchw->nc", y, gy), rtol=1e-12
    )
    np.testing.assert_allclose(
        Backend.unit_products(CPU, y, gy, -1), np.einsum("nchw,nchw->nw", y, gy), rtol=1e-12
    )
    flat = y[:, :, 0, 0], gy[:, :, 0, 0]
    np.testing.assert_array_equal(Backend.unit_products(CPU, *flat, 1), flat[0] * flat[1])


def test_what_is_no_number_stays_in_its_unit(rng):
    y, gy = rng.standard_normal((2, 3, 4, 50, 50), dtype=np.float32)
    y[1, 2, 3, 4] = np.nan
    for how in LAYOUTS[:2]:
        products = unit_products(laid(y, how), laid(gy, how), 1)
        assert np.argwhere(np.isnan(products)).tolist() == [[1, 2]]


def test_other_types_are_left_to_the_plain_twin(rng):
    y = rng.standard_normal((3, 4, 80, 80))
    assert unit_products(y, y, 1) is None
    assert unit_products(y.astype(np.float32), y, 1) is None
    half = y.astype(np.float16)
    near(CPU.unit_products(half, y.astype(np.float32), 1), half.astype(np.float64), y.astype(np.float32), 1)
