"""What uploads get: what was read in them, or a status and one sentence."""

import io
import json
import os
import re
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient
from tiny_spotter import noise

import textspot
from textspot.image_pages import read_pages
from textspot.outputs import FORMATS
from textspot.service.app import build_app
from textspot.service.limits import ServiceLimits
from textspot.service.reading import MEDIA_TYPES, PAGE_ERRORS

LIMITS = ServiceLimits(max_bytes=200_000, max_pixels=50_000, max_pages=3, url_timeout_s=0.5, urls=True)


@pytest.fixture(scope="module")
def spotter(weights):
    return textspot.load(weights, "cpu")


@pytest.fixture
def serve(spotter):
    """Clients of services with other limits."""
    clients = []

    def start(limits=LIMITS):
        client = TestClient(build_app(spotter, limits)).__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


def encode(kind="PNG", sizes=((64, 96),), **options):
    buffer = io.BytesIO()
    first, *others = (Image.fromarray(noise(*size, seed)) for seed, size in enumerate(sizes))
    several = {"save_all": True, "append_images": others} if others else {}
    first.save(buffer, kind, **several, **options)
    return buffer.getvalue()


def expected(spotter, data, name):
    """What the library reads, as the service answers it."""
    pages = []
    for page in read_pages(data, name):
        found = spotter(page.image)
        number = {} if page.number is None else {"page": page.number}
        pages.append(found.to_dict() | number | {"image": name, "text": found.text})
    return pages


def without_lines(answer):
    return [{key: value for key, value in page.items() if key != "lines"} for page in answer["pages"]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_file_in_a_form(serve, spotter, kind):
    data = encode(kind)
    answer = serve().post("/read", files={"file": ("a photo.x", data)})
    assert answer.status_code == 200
    assert without_lines(answer.json()) == expected(spotter, data, "a photo.x")
    (page,) = answer.json()["pages"]
    assert page["instances"]
    assert [line["text"] for line in page["lines"]] == page["text"].replace("\n\n", "\n").split("\n")
    assert all(len(line["polygon"]) >= 4 for line in page["lines"])


def test_bytes_as_the_body(serve, spotter):
    data = encode()
    for kind in ("image/png", "application/octet-stream", ""):
        answer = serve().post("/read", content=data, headers={"content-type": kind})
        assert without_lines(answer.json()) == expected(spotter, data, "image")


def test_a_url(serve, spotter, web_server):
    data = encode()
    client = serve(ServiceLimits(urls=True, private_urls=True))
    url = web_server({"/x.png": data}) + "/x.png"
    assert without_lines(client.post("/read", json={"url": url}).json()) == expected(spotter, data, url)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PDF"])
def test_every_page_is_answered(serve, spotter, kind):
    pytest.importorskip("pypdfium2")
    data = encode(kind, [(64, 96)] * 3, **({"resolution": 200} if kind == "PDF" else {}))
    answer = serve().post("/read", content=data).json()
    assert [page["page"] for page in answer["pages"]] == [1, 2, 3]
    assert without_lines(answer) == expected(spotter, data, "image")


def damaged_tiff():
    """Three pages; the pixels of the second are compressed, and were overwritten."""
    data = encode("TIFF", [(64, 96)] * 3, compression="tiff_deflate")
    with Image.open(io.BytesIO(data)) as image:
        image.seek(1)
        start, length = image.tag_v2[273][0], image.tag_v2[279][0]
    return data[:start] + b"\xff" * length + data[start + length :]


def test_a_damaged_page_costs_the_others_nothing(serve, spotter):
    data = damaged_tiff()
    pages = serve().post("/read", content=data).json()["pages"]
    whole = expected(spotter, encode("TIFF", [(64, 96)] * 3), "image")
    assert without_lines({"pages": [pages[0], pages[2]]}) == [whole[0], whole[2]]
    assert (pages[1]["image"], pages[1]["page"]) == ("image", 2)
    assert pages[1]["error"].startswith("image, page 2: ")
    answer = serve().post("/read?format=csv", content=data)
    (error,) = json.loads(answer.headers[PAGE_ERRORS])
    assert error == pages[1]["error"]
    assert len(answer.text.splitlines()) == 1 + len(pages[0]["instances"]) + len(pages[2]["instances"])


@pytest.mark.parametrize("sizes", [[(64, 96), (300, 300)], [(300, 300), (64, 96)]])
def test_a_page_too_large_costs_the_others_nothing(serve, sizes):
    limits = ServiceLimits(max_pixels=50_000)
    pages = serve(limits).post("/read", content=encode("TIFF", sizes)).json()["pages"]
    number = 1 + sizes.index((300, 300))
    assert pages[2 - number]["instances"]
    assert pages[number - 1]["error"] == f"image, page {number}: 300 x 300 pixels, at most 50000 are read"


def test_the_threshold_is_that_of_the_request_alone(serve, spotter):
    client, data, before = serve(), encode(), spotter.threshold

    def scores(query):
        (page,) = client.post(f"/read{query}", content=data).json()["pages"]
        return [word["score"] for word in page["instances"]]

    every, some = scores("?threshold=0"), scores("")
    assert len(every) > len(some) > len(scores("?threshold=1")) == 0
    assert min(some) >= before == spotter.threshold


@pytest.mark.parametrize("name", FORMATS)
def test_formats(serve, name):
    pytest.importorskip("fpdf")
    answer = serve().post(f"/read?format={name}", content=encode(sizes=[(64, 96)]))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(MEDIA_TYPES[name])
    assert answer.content.startswith(b"%PDF") == (name == "pdf")
    assert answer.content


def test_every_format_has_a_media_type():
    assert MEDIA_TYPES.keys() == {"json", *FORMATS}


def png_bomb():
    """A small file that claims 60,000 x 60,000 pixels."""
    data = encode(sizes=[(8, 8)])
    header = b"IHDR" + (60_000).to_bytes(4) * 2 + data[24:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4) + data[33:]


def locked_pdf():
    document = pytest.importorskip("fpdf").FPDF()
    document.add_page()
    document.set_encryption("owner", "user")
    return bytes(document.output())


def large_page():
    return encode("PDF", [(300, 300)], resolution=200)


REFUSED = {
    "nothing": (lambda: b"", 422, "image: the file is empty"),
    "no image": (lambda: b"no image", 415, "image: cannot be decoded as an image .*its content is none of JPEG"),
    "a program": (lambda: Path("/bin/true").read_bytes(), 415, "none of JPEG"),
    "an SVG": (lambda: b"<svg></svg>", 415, "it is an SVG drawing: convert it"),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic" + bytes(50), 415, "it is a HEIC image: convert it"),
    "a video": (lambda: b"\0\0\0\x18ftypisom" + bytes(50), 415, "it is a video: give its frames as images"),
    "cut short": (lambda: encode("JPEG")[:700], 422, "image: "),
    "too many bytes": (lambda: bytes(300_000), 413, "the upload is larger than 200000 bytes"),
    "too many pixels": (lambda: encode(sizes=[(300, 300)]), 413, "300 x 300 pixels, at most 50000 are read"),
    "a bomb": (png_bomb, 413, "image: .*pixels.*at most 80000000 pixels are read"),
    "too many pages": (lambda: encode("TIFF", [(8, 8)] * 4), 413, "image: has more than 3 pages"),
    "a large page": (large_page, 413, r"image, page 1: 300 x 300 pixels, at most 50000 are read"),
    "a password": (locked_pdf, 422, "this PDF has a password, which is not asked for"),
    "a damaged PDF": (lambda: b"%PDF-1.7 nothing else", 422, "this PDF is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_are_refused(serve, case):
    build, status, words = REFUSED[case]
    client, data = serve(), build()
    for answer in (client.post("/read", content=data), client.post("/read", files={"file": ("image", data)})):
        assert answer.status_code == status, answer.text
        assert re.search(words, answer.json()["detail"])
        assert "\n" not in answer.json()["detail"]
    assert client.post("/read", content=encode()).status_code == 200


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("request_of", "status", "words"),
    [
        ({"data": {"file": "text"}, "files": {"other": b"x"}}, 422, "the form has no file named 'file'"),
        ({"files": {"other": b"x"}}, 422, "the form has no file named 'file'"),
        ({"content": b"--x--", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
        ({"content": b"{", "headers": JSON}, 422, "the body is no JSON"),
        ({"content": b"[1]", "headers": JSON}, 422, "expected JSON such as"),
        ({"content": b'{"url": 3}', "headers": JSON}, 422, "expected JSON such as"),
        ({"content": b'{"url": "file:///etc/passwd"}', "headers": JSON}, 422, "expected JSON such as"),
        ({"content": b"\xff", "headers": JSON}, 422, "the body is no JSON"),
        ({"content": b'{"url": "http://\\ud800/x"}', "headers": JSON}, 422, "http://"),
        ({"content": b"x", "params": {"threshold": "2"}}, 422, "threshold: .*less than or equal to 1"),
        ({"content": b"x", "params": {"format": "gold"}}, 422, "format: "),
    ],
)  # fmt: skip
def test_requests_that_make_no_sense(serve, request_of, status, words):
    answer = serve().post("/read", **request_of)
    assert answer.status_code == status
    assert re.search(words, answer.json()["detail"])


def test_the_limit_of_bytes_is_exact_where_the_body_is_the_file(serve):
    client, data = serve(), encode()
    padded = data + bytes(LIMITS.max_bytes - len(data))
    assert client.post("/read", content=padded).status_code == 200
    assert client.post("/read", content=padded + b"x").status_code == 413


def test_urls_are_off_unless_allowed(serve):
    answer = serve(ServiceLimits()).post("/read", json={"url": "http://127.0.0.1/x"})
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "reading URLs is off: start the service with --limits.urls true",
    )
    with pytest.raises(ValueError, match="private_urls is for reading URLs"):
        ServiceLimits(private_urls=True)


def endless(request):
    request.send_response(200)
    request.end_headers()
    try:
        for _ in range(100):
            request.wfile.write(b"x")
            time.sleep(0.05)
    except OSError:
        return


@pytest.mark.parametrize(
    ("private", "answer", "words"),
    [
        (False, b"x", "which is no public address"),
        (True, b"", "404"),
        (True, b"x" * 200_001, "more than 200000 bytes"),
        (True, endless, "not complete after 0.5 s"),
    ],
)
def test_urls_that_give_nothing(serve, web_server, private, answer, words):
    limits = ServiceLimits(max_bytes=200_000, urls=True, private_urls=private, url_timeout_s=0.5)
    given = serve(limits).post("/read", json={"url": web_server({"/x": answer}) + "/x"})
    assert given.status_code == 422
    assert words in given.json()["detail"]


def test_a_package_that_is_missing_is_named(serve, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    answer = serve().post("/read", content=b"%PDF-1.7")
    assert (answer.status_code, answer.json()["detail"]) == (
        501,
        "pypdfium2 is not installed: pip install 'textspot[pdf]'",
    )


def test_health_and_metrics(serve, spotter):
    client = serve()
    assert client.get("/health").json() == {"status": "ok", "spotter": repr(spotter)}
    client.post("/read", content=encode())
    client.post("/read", content=b"no image")
    metrics = client.get("/metrics").text
    assert 'textspot_answers_total{status="200"} 1.0' in metrics
    assert 'textspot_answers_total{status="415"} 1.0' in metrics
    assert "textspot_answer_seconds_count 2.0" in metrics
    assert "textspot_admitted 0.0" in metrics
    assert "textspot_working 0.0" in metrics


def test_the_page_of_the_interface_needs_no_internet(serve):
    client = serve()
    page = client.get("/").text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    assert all(client.get(source).status_code == 200 for source in sources)
    assert "//" not in "".join(sources)
    body = client.get("/openapi.json").json()["paths"]["/read"]["post"]
    assert {"multipart/form-data", "application/octet-stream", "application/json"} == body["requestBody"][
        "content"
    ].keys()
    assert {"200", "413", "415", "503"} <= body["responses"].keys()


def test_nothing_is_left_open(serve, tmp_path, monkeypatch):
    """Descriptors and temporary files, after uploads that were read and others that were not."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("this system does not list open files")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    client = serve(ServiceLimits(max_bytes=3_000_000))
    uploads = [
        encode(),
        encode("TIFF", [(8, 8)] * 2),
        b"no image",
        encode("JPEG")[:700],
        bytes(2_000_000),
        bytes(4_000_000),
    ]

    def send():
        for data in uploads:
            client.post("/read", files={"file": ("image", data)})
            client.post("/read", content=data)
        return len(os.listdir(folder))

    before = send()
    assert max(send() for _ in range(2)) <= before
    assert os.listdir(tmp_path) == []
