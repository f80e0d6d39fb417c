"""A web server on this machine that misbehaves in the ways real ones do."""

from __future__ import annotations

import http.server
import re
import threading
import time
from dataclasses import dataclass, field

import pytest


@dataclass
class Page:
    """What the server has under one path, and how badly it serves it."""

    content: bytes
    ranges: bool = True  # does it honour a Range header?
    says_length: bool = True
    status: int = 200
    cuts: list[int] = field(default_factory=list)  # bytes after which the next responses break off
    delay: float = 0.0  # seconds before it answers
    stall: float = 0.0  # seconds of silence in the middle of the body
    lies_about_range: bool = False  # answers 206 with bytes from another place


class Server:
    """Pages by path, and what was asked for: (path, Range header or None)."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str | None]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def add(self, path: str, content: bytes, **options: object) -> str:
        """Serve `content` under `path` and return its address."""
        self.pages[path] = Page(content, **options)
        return self.address(path)

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/{path}"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        path, asked = request.path[1:], request.headers.get("Range")
        self.requests.append((path, asked))
        page = self.pages.get(path)
        if page is None or page.status != 200:
            request.send_error(404 if page is None else page.status)
            return
        time.sleep(page.delay)
        begin = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked and page.ranges else 0
        if begin >= len(page.content) and begin:
            request.send_error(416)
            return
        body = page.content[begin:]
        request.send_response(206 if begin else 200)
        if begin:
            shown = begin + 1 if page.lies_about_range else begin
            request.send_header("Content-Range", f"bytes {shown}-{len(page.content) - 1}/{len(page.content)}")
        if page.says_length:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if page.cuts:
            body = body[: page.cuts.pop(0)]
        half = len(body) // 2 if page.stall else len(body)
        try:
            request.wfile.write(body[:half])
            request.wfile.flush()
            if page.stall:
                time.sleep(page.stall)
                request.wfile.write(body[half:])
        except ConnectionError:
            pass  # the client gave up, as some tests want it to


@pytest.fixture
def server():
    """An HTTP server whose pages a test adds; stopped afterwards."""
    server = Server()
    yield server
    server.close()


@pytest.fixture
def refused_address() -> str:
    """An address at which nothing listens."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as closing:
        return f"http://127.0.0.1:{closing.server_port}/"
