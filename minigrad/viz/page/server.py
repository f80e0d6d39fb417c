"""Serves the page of recorded runs, on this machine and to this machine only."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from minigrad.errors import ArgumentError, MinigradError
from minigrad.viz.graph import graph_page
from minigrad.viz.page.bundle import plotly_path
from minigrad.viz.page.data import RunData
from minigrad.viz.page.numbers import json_bytes
from minigrad.viz.page.parts import page, script, style

ADDRESS = "127.0.0.1"
_HTML, _JSON = "text/html; charset=utf-8", "application/json"
_CSS, _JS = "text/css; charset=utf-8", "text/javascript; charset=utf-8"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A graph's page allows its own script by its hash; here it may touch nothing else, not even this server
_GRAPH_POLICY = "sandbox allow-scripts; frame-ancestors 'self'"
_WHOLE = re.compile(r"-?\d{1,15}")


class PageServer(ThreadingHTTPServer):
    """Answers at `url` once `serve_forever` runs; `close` ends it.

    runs: folders of recorded runs, or their `record.sqlite`; one or two.
    port: 0 takes any that is free.

    Only requests from this machine, addressed to it by name, are answered, and only the page, its script and what was
    recorded is given out: no address leads to a file. Records are opened for reading only. Raises DataError where there
    is no record, or no Plotly, and OSError where the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = sys.platform != "win32"  # there it would let two servers have one port

    def __init__(self, runs: Sequence[Any], port: int = 0) -> None:
        if not 1 <= len(runs) <= 2:
            raise ArgumentError(f"the page shows one run, or two beside one another; got {len(runs)}")
        self.plotly = plotly_path()
        self.runs = [RunData(path) for path in runs]
        self.locks = [threading.Lock() for _ in self.runs]  # a reader is used by one thread at a time
        super().__init__((ADDRESS, port), _Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        if self.server_port == 80:
            self.hosts |= {"127.0.0.1", "localhost", "[::1]"}

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def close(self) -> None:
        """Stop answering, and wait for `serve_forever` to return."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader who went away in the middle of an answer is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "minigrad", ""
    timeout = 60.0  # seconds that an idle connection is kept

    def do_GET(self) -> None:
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            # Another name that leads here belongs to a page elsewhere, which must not read what we serve
            return self._send(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", b"not the name of this server")
        address = urlsplit(self.path)
        answer = _ANSWERS.get(address.path)
        if answer is None:
            return self._send(HTTPStatus.NOT_FOUND, "text/plain", b"not found")
        try:
            query = {name: values[-1] for name, values in parse_qs(address.query, max_num_fields=16).items()}
            kind, content, policy = answer(self.server, query)
        except (ArgumentError, ValueError) as error:
            return self._send(HTTPStatus.NOT_FOUND, _JSON, json_bytes({"error": str(error)}))
        except MinigradError as error:
            return self._send(HTTPStatus.INTERNAL_SERVER_ERROR, _JSON, json_bytes({"error": str(error)}))
        self._send(HTTPStatus.OK, kind, content, policy)

    def _refuse(self) -> None:
        self.close_connection = True  # a body that was sent along is not read
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"only GET is answered")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = do_TRACE = do_CONNECT = _refuse

    def _send(
        self, status: HTTPStatus, kind: str, content: bytes, policy: str = "default-src 'none'"
    ) -> None:
        mark = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        same = status == HTTPStatus.OK and self.headers.get("If-None-Match") == mark
        self.send_response(HTTPStatus.NOT_MODIFIED if same else status)
        self.send_header("ETag", mark)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
            self.send_header("Connection", "close")
        if not same:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not same and self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are nobody's news."""


# ------------------------------------------------ what addresses lead to


class _BadQuestion(ArgumentError):
    """Not what the page asks."""


Answer = tuple[str, bytes, str]


def _page(server: PageServer, query: dict[str, str]) -> Answer:
    title = " and ".join(run.name for run in server.runs)
    head = f'<meta name="runs" content="{len(server.runs)}">\n<link rel="stylesheet" href="page.css">'
    body = '<script src="plotly.min.js"></script>\n<script src="page.js"></script>'
    return _HTML, page(title, head, body).encode(), _POLICY


def _graph(server: PageServer, query: dict[str, str]) -> Answer:
    index, step = _run(server, query), _number(query, "step")
    with server.locks[index]:
        run = server.runs[index]
        html = graph_page(run.graph(step), f"{run.name}, step {step}")
    return _HTML, html.encode(), _GRAPH_POLICY


def _data(ask: Callable[[RunData, dict[str, str]], Any]) -> Callable[[PageServer, dict[str, str]], Answer]:
    def answer(server: PageServer, query: dict[str, str]) -> Answer:
        index = _run(server, query)
        with server.locks[index]:
            try:
                found = ask(server.runs[index], query)
            except _BadQuestion:
                raise
            except ArgumentError as error:  # a run that lacks something is nothing wrong
                found = {"missing": str(error)}
        return _JSON, json_bytes(found), "default-src 'none'"

    return answer


def _state(run: RunData, query: dict[str, str]) -> Any:
    run.refresh()
    return run.state()


def _run(server: PageServer, query: dict[str, str]) -> int:
    index = _number(query, "run", 0)
    if not 0 <= index < len(server.runs):
        raise _BadQuestion(f"there is no run {index}")
    return index


def _number(query: dict[str, str], name: str, default: int = -1) -> int:
    text = query.get(name, str(default))
    if not _WHOLE.fullmatch(text):
        raise _BadQuestion(f"{name} must be a whole number")
    return int(text)


def _text(query: dict[str, str], name: str) -> str:
    if name not in query:
        raise _BadQuestion(f"{name} is missing")
    return query[name]


@cache
def _plotly(path: Any) -> bytes:
    return path.read_bytes()


# The same questions are answered by what an exported page holds, under the same addresses
QUESTIONS: dict[str, Callable[[RunData, dict[str, str]], Any]] = {
    "state": _state,
    "structure": lambda run, q: run.structure(),
    "lines": lambda run, q: run.lines(_number(q, "after"), _number(q, "width", 0)),
    "heat": lambda run, q: run.heat(
        _text(q, "what"), _text(q, "kind"), _number(q, "after"), _number(q, "width", 0)
    ),
    "histograms": lambda run, q: run.histograms(
        _text(q, "kind"), _text(q, "name"), _number(q, "after"), _number(q, "every", 0)
    ),
    "units": lambda run, q: run.units(
        _text(q, "kind"), _text(q, "name"), _text(q, "what"), _number(q, "after"), _number(q, "every", 0)
    ),
    "influence": lambda run, q: run.influence(_text(q, "method")),
}
_ANSWERS: dict[str, Callable[[PageServer, dict[str, str]], Answer]] = {
    "/": _page,
    "/page.css": lambda server, q: (_CSS, style().encode(), _POLICY),
    "/page.js": lambda server, q: (_JS, script().encode(), _POLICY),
    "/plotly.min.js": lambda server, q: (_JS, _plotly(server.plotly), _POLICY),
    "/graph": _graph,
    **{f"/api/{name}": _data(ask) for name, ask in QUESTIONS.items()},
}


def serve(runs: Sequence[Any], port: int = 0, browser: bool = True) -> None:
    """Serve the page of one run or two until interrupted; prints its address and opens it in a browser."""
    server = PageServer(runs, port)
    print(f"{server.url}  (Ctrl-C ends it)", flush=True)
    if browser:
        threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
