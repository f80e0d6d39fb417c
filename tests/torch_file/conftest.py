"""What the tests of checkpoint files share."""

from __future__ import annotations

from typing import Any

import pytest

from minigrad import torch_file


@pytest.fixture
def read(tmp_path):
    """What `torch_file.read` makes of the bytes of a file."""

    def read_bytes(content: bytes) -> Any:
        path = tmp_path / "weights.pth"
        path.write_bytes(content)
        return torch_file.read(path)

    return read_bytes
