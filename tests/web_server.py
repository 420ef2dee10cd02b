"""A web server on this machine, for what is downloaded."""

import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = bytes | Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def web_server() -> Iterator[Callable[[Mapping[str, Answer]], str]]:
    """Starts a server of answers by path, bytes or what a function does with the request; gives its address."""
    servers = []

    def serve(answers: Mapping[str, Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = answers.get(self.path)
                if callable(answer):
                    answer(self)
                    return
                self.send_response(200 if answer else 404)
                self.send_header("Content-Length", str(len(answer or b"")))
                self.end_headers()
                self.wfile.write(answer or b"")

            def log_message(self, *_: object) -> None:
                """Not in the output of tests."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def ranges_of(data: bytes) -> Answer:
    """An answer that gives the range of bytes a request asks for, or all of them."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        start, end = (int(number) for number in wanted.removeprefix("bytes=").split("-")) if wanted else (0, len(data))
        given = data[start : end + 1]
        request.send_response((206 if given else 416) if wanted else 200)
        request.send_header("Content-Length", str(len(given)))
        request.end_headers()
        request.wfile.write(given)

    return answer
