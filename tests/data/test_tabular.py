"""scikit-learn's data sets, and what is said where it is missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import sklearn.datasets

from minigrad.data import (
    ArrayDataset,
    Normalize,
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)
from minigrad.errors import DataError


@pytest.mark.parametrize(
    "load, shape, classes",
    [(load_iris, (150, 4), 3), (load_wine, (178, 13), 3), (load_breast_cancer, (569, 30), 2)],
)
def test_tables_for_classification(load, shape, classes):
    data, original = load(), getattr(sklearn.datasets, load.__name__)()
    assert isinstance(data, ArrayDataset)
    assert (data.inputs.shape, data.inputs.dtype) == (shape, np.float32)
    np.testing.assert_allclose(data.inputs, original.data, rtol=1e-6)
    np.testing.assert_array_equal(data.targets, original.target)
    assert data.targets.dtype == np.int64
    assert data.classes == tuple(original.target_names)
    assert len(data.classes) == classes
    assert data.features == tuple(original.feature_names)
    assert {type(name) for name in (*data.classes, *data.features)} == {str}


def test_diabetes_is_a_regression_in_its_own_units():
    data = load_diabetes()
    assert (data.inputs.shape, data.targets.shape) == ((442, 10), (442, 1))
    assert data.targets.dtype == np.float32
    assert data.classes is None
    assert data.features[:3] == ("age", "sex", "bmi")
    assert (data.targets.min(), data.targets.max()) == (25, 346)
    assert 19 <= data.inputs[:, 0].min() < data.inputs[:, 0].max() <= 79  # years
    scaled = Normalize.fit(data.inputs)(data.inputs, None)
    original = sklearn.datasets.load_diabetes().data * np.sqrt(442)
    np.testing.assert_allclose(scaled, original, atol=1e-4)


def test_digits_are_images_between_0_and_1():
    data, original = load_digits(), sklearn.datasets.load_digits()
    assert (data.inputs.shape, data.inputs.dtype) == ((1797, 1, 8, 8), np.float32)
    np.testing.assert_array_equal(data.inputs[:, 0] * 16, original.images)
    np.testing.assert_array_equal(data.targets, original.target)
    assert data.classes[7] == "7"


def test_without_scikit_learn_the_command_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)

    class Without:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "sklearn":
                raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")

    monkeypatch.setattr(sys, "meta_path", [Without(), *sys.meta_path])
    for load in (load_iris, load_digits):
        with pytest.raises(DataError, match="not installed; add it with: pip install scikit-learn"):
            load()


def test_an_installation_that_is_broken_is_not_called_missing(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "sklearn.datasets":
                raise ModuleNotFoundError("No module named 'joblib'", name="joblib")

    monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="joblib"):
        load_iris()
