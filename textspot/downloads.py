"""What a URL gives, within limits: http and https, so many bytes, so much time, public addresses only."""

import contextlib
import http.client
import ipaddress
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

SCHEMES = ("http", "https")
CHUNK = 1 << 16


@dataclass(frozen=True)
class DownloadLimits:
    """What a download may take.

    Args:
        max_bytes: most bytes of the answer.
        max_seconds: most seconds in all.
        max_redirects: most redirects that are followed.
        private: allow addresses that are not public, such as localhost or 192.168.0.1.
    """

    max_bytes: int = 64 << 20
    max_seconds: float = 30.0
    max_redirects: int = 5
    private: bool = False


def is_url(name: object) -> bool:
    """Whether a name is a URL that `download` takes."""
    return isinstance(name, str) and name.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def download(url: str, limits: DownloadLimits | None = None) -> bytes:
    """The bytes behind a URL. Another scheme, an address that is not public, an error of the server and whatever goes
    beyond the limits is an OSError that names the URL. Proxies are not used: the address that answers is checked."""
    limits = limits or DownloadLimits()
    deadline = _Deadline(limits.max_seconds)
    try:
        with deadline, _opener(limits, deadline).open(url, timeout=limits.max_seconds) as answer:
            data = _read_all(answer, limits.max_bytes)
        if deadline.passed:  # what was cut off looks complete where no length was stated
            raise TimeoutError
        return data
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"{url}: the server says {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        late = f"not complete after {limits.max_seconds:g} s" if deadline.passed else ""
        raise OSError(f"{url}: {late or getattr(error, 'reason', error) or 'no answer'}") from error


def _read_all(answer: http.client.HTTPResponse, max_bytes: int) -> bytes:
    data = answer.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(f"more than {max_bytes} bytes")
    stated = answer.headers.get("Content-Length", "")
    if stated.isdigit() and len(data) < int(stated):
        raise OSError(f"ends after {len(data)} of {stated} bytes")
    return data


class _Deadline:
    """Shuts the connections of a download when its time is over, however slowly bytes keep coming."""

    def __init__(self, seconds: float):
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def watch(self, connected: socket.socket) -> None:
        """Shut this socket too when the time is over."""
        self._sockets.append(connected)
        if self.passed:
            self._shut()

    def _shut(self) -> None:
        self.passed = True
        for connected in self._sockets:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)


def _opener(limits: DownloadLimits, deadline: _Deadline) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        _HttpHandler(limits, deadline),
        _HttpsHandler(limits, deadline),
        _CheckedRedirects(limits),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, so many of them."""

    def __init__(self, limits: DownloadLimits):
        self.max_redirections = limits.max_redirects  # type: ignore[misc]  # typeshed has it of the class

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if not is_url(newurl):
            scheme = urllib.parse.urlsplit(newurl).scheme
            raise urllib.error.URLError(f"leads to a {scheme} address, expected {' or '.join(SCHEMES)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _HttpHandler(urllib.request.HTTPHandler):
    def __init__(self, limits: DownloadLimits, deadline: _Deadline):
        super().__init__()
        self._connection = _checked(http.client.HTTPConnection, limits, deadline)

    def http_open(self, req):
        return self.do_open(self._connection, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, limits: DownloadLimits, deadline: _Deadline):
        super().__init__()
        self._connection = _checked(http.client.HTTPSConnection, limits, deadline)

    def https_open(self, req):
        return self.do_open(self._connection, req)


def _checked(connection: type[http.client.HTTPConnection], limits: DownloadLimits, deadline: _Deadline) -> Any:
    """The kind of connection, which asks nothing of an address that is not public, whatever its name resolved to."""

    class CheckedConnection(connection):  # type: ignore[misc, valid-type]
        def connect(self) -> None:
            super().connect()
            deadline.watch(self.sock)
            address = self.sock.getpeername()[0].partition("%")[0]
            if not limits.private and not is_public(address):
                self.close()
                raise OSError(f"{self.host} is {address}, which is no public address")

    return CheckedConnection


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's."""
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global and not found.is_multicast
