"""One recorded run for all tests of the page, and servers that are closed again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minigrad.viz.page import export, server
from tests.viz_page.runs import train


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("runs") / "second", lr=0.5, seed=1)


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Starts a server for some runs."""
    servers = []

    def start(*runs: Path) -> server.PageServer:
        servers.append(server.PageServer(runs))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.02}).start()
        return servers[-1]

    yield start
    for each in servers:
        each.close()


@pytest.fixture
def without_plotly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in for the bundle, for tests that draw nothing."""
    path = tmp_path / "plotly.min.js"
    path.write_text("/* </script> */ var Plotly = {};\n")
    for module in (server, export):
        monkeypatch.setattr(module, "plotly_path", lambda: path)
