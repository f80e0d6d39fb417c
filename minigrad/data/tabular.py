"""Small classic data sets that come with scikit-learn: tables of measurements, and 8 x 8 digits.

scikit-learn is only asked for its files; it is imported when one of these functions is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from minigrad.data.dataset import ArrayDataset
from minigrad.errors import DataError


def load_iris() -> ArrayDataset:
    """150 iris flowers: inputs (150, 4) float32, lengths in cm; targets (150,) int64, 3 species.

    Raises DataError where scikit-learn is not installed. Source: R. A. Fisher, "The use of multiple measurements in
    taxonomic problems", Annals of Eugenics 7, 1936.
    """
    return _classification("iris")


def load_wine() -> ArrayDataset:
    """178 wines: inputs (178, 13) float32, chemical measurements; targets (178,) int64, 3 growers.

    Raises DataError where scikit-learn is not installed. Source: S. Aeberhard, M. Forina, "Wine", UCI Machine Learning
    Repository, 1991.
    """
    return _classification("wine")


def load_breast_cancer() -> ArrayDataset:
    """569 tumours: inputs (569, 30) float32, measurements of cell nuclei; targets (569,) int64, malignant or benign.

    Raises DataError where scikit-learn is not installed. Source: W. N. Street, W. H. Wolberg, O. L. Mangasarian,
    "Nuclear feature extraction for breast tumor diagnosis", 1993.
    """
    return _classification("breast_cancer")


def load_diabetes() -> ArrayDataset:
    """442 patients: inputs (442, 10) float32, age, sex, body, blood; targets (442, 1) float32, a year later.

    A regression: targets tell how far the disease went, 25 to 346. Measurements are in their own units, which
    `Normalize.fit` brings to one scale. Raises DataError where scikit-learn is not installed. Source: B. Efron,
    T. Hastie, I. Johnstone, R. Tibshirani, "Least angle regression", Annals of Statistics 32(2), 2004.
    """
    data = _bunch("diabetes", scaled=False)
    targets = data.target[:, None].astype(np.float32)
    return ArrayDataset(data.data.astype(np.float32), targets, features=data.feature_names, name="diabetes")


def load_digits() -> ArrayDataset:
    """1,797 handwritten digits: inputs (1797, 1, 8, 8) float32, ink from 0 to 1; targets (1797,) int64.

    The ink has 17 steps. Raises DataError where scikit-learn is not installed. Source: E. Alpaydin, C. Kaynak,
    "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998 (its test set).
    """
    data = _bunch("digits")
    images = (data.images[:, None] / 16).astype(np.float32)
    return ArrayDataset(images, data.target.astype(np.int64), classes=tuple("0123456789"), name="digits")


def _classification(name: str) -> ArrayDataset:
    data = _bunch(name)
    return ArrayDataset(
        data.data.astype(np.float32),
        data.target.astype(np.int64),
        classes=[str(label) for label in data.target_names],
        features=[str(feature) for feature in data.feature_names],
        name=name.replace("_", " "),
    )


def _bunch(name: str, **options: Any) -> Any:
    """What scikit-learn's own loader of that name returns."""
    try:
        datasets = import_module("sklearn.datasets")
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        raise DataError(
            f"the data set {name!r} comes with scikit-learn, which is not installed; add it with: pip install "
            "scikit-learn (or, in a checkout of minigrad: pip install -e '.[tabular]')"
        ) from None
    return getattr(datasets, f"load_{name}")(**options)
