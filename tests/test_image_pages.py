"""Files that hold several images: every page, with its number."""

import io
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from textspot.image_decoding import ImageError, ImageTooLargeError
from textspot.image_pages import MAX_PAGES, pages_of_file, read_frames, read_pages

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]


def pictures(sizes=((40, 60), (40, 60), (40, 60))):
    return [Image.new("RGB", (width, height), colour) for (height, width), colour in zip(sizes, COLOURS, strict=True)]


def encode(kind, images, **options):
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "options"), [("TIFF", {}), ("GIF", {}), ("WEBP", {"lossless": True})])
def test_every_page_and_frame(kind, options):
    pages = list(read_pages(encode(kind, pictures(), **options), "x"))
    assert [page.number for page in pages] == [1, 2, 3]
    for page, colour in zip(pages, COLOURS, strict=True):
        assert page.image.shape == (40, 60, 3)
        assert np.abs(page.image.reshape(-1, 3).mean(axis=0) - colour).max() < 12


def test_pages_of_several_sizes():
    pages = read_pages(encode("TIFF", pictures(((10, 20), (30, 40), (50, 60)))), "x")
    assert [page.image.shape[:2] for page in pages] == [(10, 20), (30, 40), (50, 60)]


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG", "JPEG"])
def test_one_image_has_no_number(kind):
    buffer = io.BytesIO()
    pictures()[0].save(buffer, kind)
    (page,) = read_pages(buffer.getvalue(), "x")
    assert page.number is None
    assert page.image.shape == (40, 60, 3)


def pdf_of(*texts, size=(200, 100)):
    """Drawn by hand: a page per text, which only says how grey it is."""
    pytest.importorskip("pypdfium2")
    buffer = io.BytesIO()
    greys = [Image.new("L", size, grey) for grey in texts]
    greys[0].save(buffer, "PDF", save_all=True, append_images=greys[1:], resolution=72)
    return buffer.getvalue()


def test_every_page_of_a_pdf():
    pages = list(read_pages(pdf_of(0, 128, 255), "x.pdf"))
    assert [page.number for page in pages] == [1, 2, 3]
    assert [page.image.shape for page in pages] == [(278, 556, 3)] * 3  # 200 pixels per inch
    assert [round(float(page.image.mean())) for page in pages] == [0, 128, 255]


def test_a_pdf_of_one_page_is_numbered_too_as_viewers_do():
    assert [page.number for page in read_pages(pdf_of(9), "x.pdf")] == [1]


def test_a_large_page_is_drawn_smaller(monkeypatch):
    monkeypatch.setattr("textspot.pdf_process.MAX_PIXELS", 10_000)
    (page,) = read_pages(pdf_of(9), "x.pdf")
    assert 8000 < page.image.shape[0] * page.image.shape[1] <= 10_000


def test_a_damaged_pdf():
    with pytest.raises(ImageError, match=r"x\.pdf: this PDF is damaged"):
        list(read_pages(b"%PDF-1.7 nothing else", "x.pdf"))


def test_a_pdf_with_a_password():
    fpdf = pytest.importorskip("fpdf")
    document = fpdf.FPDF()
    document.add_page()
    document.set_encryption("owner", "user")
    with pytest.raises(ImageError, match=r"x\.pdf: this PDF has a password, which is not asked for"):
        list(read_pages(bytes(document.output()), "x.pdf"))


def test_threads_draw_the_pages_of_their_own_pdf():
    """PDFium crashes when two threads are in it."""
    documents = [pdf_of(*range(grey, grey + 4)) for grey in (0, 60, 120, 180)]
    with ThreadPoolExecutor(4) as threads:
        drawn = threads.map(lambda data: [round(float(page.image.mean())) for page in read_pages(data, "x")], documents)
    assert list(drawn) == [list(range(grey, grey + 4)) for grey in (0, 60, 120, 180)]


def test_too_many_pages(monkeypatch):
    assert MAX_PAGES >= 1000
    monkeypatch.setattr("textspot.image_pages.MAX_PAGES", 2)
    for data in (encode("TIFF", pictures()), pdf_of(1, 2, 3)):
        with pytest.raises(ImageTooLargeError, match="x: 3 pages, at most 2 are read"):
            list(read_pages(data, "x"))


@pytest.mark.parametrize("data", [b"", b"no image"])
def test_no_image(data):
    with pytest.raises(ImageError, match=r"^x: "):
        list(read_pages(data, "x"))


@pytest.fixture
def video(tmp_path):
    """Twelve frames in 1.2 s, each as bright as its number."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for number in range(12):
        writer.write(np.full((48, 64, 3), 20 * number, dtype=np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(("every", "numbers"), [(0.5, [1, 6, 11]), (0.01, list(range(1, 13))), (9.0, [1])])
def test_frames_of_a_video(video, every, numbers):
    frames = list(read_frames(video, every))
    assert [frame.number for frame in frames] == numbers
    assert [frame.time_s for frame in frames] == pytest.approx([(number - 1) / 10 for number in numbers])
    assert [frame.image.mean() for frame in frames] == pytest.approx([20 * (number - 1) for number in numbers], abs=3)


def test_a_video_wants_to_know_how_often(video):
    with pytest.raises(ImageError, match=r"a video: say how often a frame is read, such as --every 0\.5s"):
        list(pages_of_file(video))
    assert len(list(pages_of_file(video, 0.5))) == 3


def test_no_video(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(ImageError, match=r"x\.mp4: cannot be read as a video"):
        list(read_frames(tmp_path / "x.mp4", 1.0))
    with pytest.raises(FileNotFoundError, match=r"y\.mp4: no such file"):
        list(read_frames(tmp_path / "y.mp4", 1.0))
