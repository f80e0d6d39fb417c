"""What the tests of training share."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.data import ArrayDataset, DataLoader


@pytest.fixture
def loader(rng):
    """Points in the plane, of class 1 right of a slanted line: 40 of them in batches of 16."""
    points = rng.standard_normal((40, 2)).astype(np.float32)
    classes = (points @ np.array([2.0, 1.0]) > 0.3).astype(np.int64)
    return DataLoader(ArrayDataset(points, classes), batch_size=16, shuffle=True, seed=0)
