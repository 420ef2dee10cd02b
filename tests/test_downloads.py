"""What a URL gives: within limits, and from public addresses only unless others are allowed."""

import re
from dataclasses import replace

import pytest

from textspot.downloads import DownloadLimits, download, is_public, is_url

OPEN = DownloadLimits(private=True)


def test_the_bytes(web_server):
    assert download(web_server({"/x": b"content"}) + "/x", OPEN) == b"content"


def test_only_public_addresses_unless_allowed(web_server):
    with pytest.raises(OSError, match=r"127\.0\.0\.1:\d+/x: 127\.0\.0\.1 is 127\.0\.0\.1, which is no public address"):
        download(web_server({"/x": b"content"}) + "/x")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
    ],
)
def test_which_addresses_are_public(address, public):
    assert is_public(address) is public


def test_what_is_a_url():
    assert is_url("https://example.org/x.jpg")
    assert is_url("HTTP://example.org")
    assert not any(map(is_url, ("file:///etc/passwd", "ftp://x/y", "photo.jpg", b"http://x", 3)))


def redirect_to(target):
    def answer(request):
        request.send_response(302)
        request.send_header("Location", target)
        request.end_headers()

    return answer


def test_redirects_are_followed_to_the_web_only(web_server):
    answers = {"/x": b"content", "/there": redirect_to("/x")}
    others = {"/file": redirect_to("file:///etc/passwd"), "/ftp": redirect_to("ftp://127.0.0.1/x")}
    there = web_server(answers | others)
    assert download(f"{there}/there", OPEN) == b"content"
    with pytest.raises(OSError, match="Redirection to url 'file:///etc/passwd' is not allowed"):
        download(f"{there}/file", OPEN)
    with pytest.raises(OSError, match="/ftp: leads to a ftp address, expected http or https"):
        download(f"{there}/ftp", OPEN)


def test_redirects_have_an_end(web_server):
    there = web_server({"/round": redirect_to("/round")})
    with pytest.raises(OSError, match=r"/round: the server says 302 .*infinite loop"):
        download(f"{there}/round", OPEN)


def test_too_many_bytes(web_server):
    there = web_server({"/x": b"x" * 1000})
    assert len(download(f"{there}/x", replace(OPEN, max_bytes=1000))) == 1000
    with pytest.raises(OSError, match=re.escape(f"{there}/x: more than 999 bytes")):
        download(f"{there}/x", replace(OPEN, max_bytes=999))


def stated_longer(request):
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b"short")


def test_an_answer_that_ends_early(web_server):
    with pytest.raises(OSError, match=r"/x: ends after 5 of 1000 bytes|IncompleteRead"):
        download(web_server({"/x": stated_longer}) + "/x", OPEN)


def drip(header):
    """Comes for ever, a byte at a time."""

    def answer(request):
        if not header:
            request.send_response(200)
            request.end_headers()
        try:
            while True:
                request.wfile.write(b"x")
                request.wfile.flush()
                request.server.stopped.wait(0.02)
        except OSError:
            return

    return answer


@pytest.mark.parametrize("header", [True, False])
def test_an_answer_without_end(web_server, header, monkeypatch):
    import threading
    from http.server import ThreadingHTTPServer

    monkeypatch.setattr(ThreadingHTTPServer, "stopped", threading.Event(), raising=False)
    there = web_server({"/x": drip(header)})
    with pytest.raises(OSError, match=r"/x: not complete after 0\.5 s"):
        download(f"{there}/x", replace(OPEN, max_seconds=0.5))


def test_errors_of_the_server_and_of_the_name(web_server):
    there = web_server({})
    with pytest.raises(OSError, match="/nothing: the server says 404 Not Found"):
        download(f"{there}/nothing", OPEN)
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:1/x: .*refused"):
        download("http://127.0.0.1:1/x", OPEN)
    with pytest.raises(OSError, match="ftp://x/y: unknown url type: ftp"):
        download("ftp://x/y", OPEN)
