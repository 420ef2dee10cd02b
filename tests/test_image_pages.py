"""Files that hold several images: every page, with its number."""

import io
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from textspot import pdf_process
from textspot.bounded_process import BoundedProcess
from textspot.image_decoding import ImageError, ImageTooLargeError
from textspot.image_pages import MAX_PAGES, count_frames, pages_of_file, read_frames, read_pages

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
    monkeypatch.setattr("textspot.image_pages.MAX_PIXELS", 10_000)
    (page,) = read_pages(pdf_of(9), "x.pdf")
    assert 8000 < page.image.shape[0] * page.image.shape[1] <= 10_000


def test_a_damaged_pdf():
    with pytest.raises(ImageError, match=r"x\.pdf: this PDF is damaged"):
        list(read_pages(b"%PDF-1.7 nothing else", "x.pdf"))


def test_a_pdf_with_a_password():
    """One whose checks of a password fit none."""
    pytest.importorskip("pypdfium2")
    lock = f"/Filter/Standard/V 1/R 2/P -4/O<{'00' * 32}>/U<{'00' * 32}>"
    data = hand_written_pdf("3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj\n", f"/Encrypt<<{lock}>>")
    with pytest.raises(ImageError, match=r"x\.pdf: this PDF has a password, which is not asked for"):
        read_pages(data, "x.pdf")


def hand_written_pdf(objects, trailer=""):
    """A PDF whose page is the third of its objects; readers find those without a table."""
    return (
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        f"{objects}trailer<</Root 1 0 R/ID[<00><00>]{trailer}>>\n"
    ).encode()


def damage_page(pdf, number):
    """Let a page of a PDF, from 1, be the object 0, which no file has."""
    kids = re.search(rb"/Kids \[ [^]]*\]", pdf)[0]
    page = re.findall(rb"\d+ 0 R", kids)[number - 1]
    return pdf.replace(kids, kids.replace(page, b"0 0 R".rjust(len(page), b"0")))


def test_a_damaged_page_of_a_pdf_costs_that_page():
    pages = read_pages(damage_page(pdf_of(0, 128, 255), 2), "x.pdf")
    assert next(pages).number == 1
    with pytest.raises(ImageError, match=r"x\.pdf, page 2: is damaged"):
        next(pages)
    assert [page.number for page in pages] == [3]


@pytest.mark.slow
def test_what_takes_too_long_or_too_much_memory_is_ended(monkeypatch):
    """A page of a billion rectangles, and one whose pixels do not fit."""
    monkeypatch.setattr(pdf_process, "_process", BoundedProcess(replace(pdf_process.LIMITS, seconds=1)))
    with pytest.raises(ImageError, match=r"x\.pdf, page 1: cannot be drawn: to read it takes more than 1 s"):
        next(read_pages(endless_pdf(), "x.pdf"))
    monkeypatch.setattr(pdf_process, "_process", BoundedProcess(replace(pdf_process.LIMITS, num_bytes=64 << 20)))
    with pytest.raises(ImageError, match=r"x\.pdf, page 1: "):
        next(read_pages(pdf_of(9, size=(4000, 4000)), "x.pdf"))


def endless_pdf():
    """Each of ten drawings draws another one ten times."""
    form = "/Type/XObject/Subtype/Form/BBox[0 0 99 99]"
    forms = [
        f"{4 + n} 0 obj<<{form}/Resources<</XObject<</F {5 + n} 0 R>>>>/Length 60>>stream\n{'/F Do ' * 10}\nendstream"
        for n in range(10)
    ]
    last = f"14 0 obj<<{form}/Length 15>>stream\n0 0 99 99 re f \nendstream"
    page = "/Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<</XObject<</F 4 0 R>>>>/Contents 15 0 R"
    objects = [f"3 0 obj<<{page}>>", *forms, last, "15 0 obj<</Length 6>>stream\n/F Do \nendstream"]
    return hand_written_pdf("".join(f"{one} endobj\n" for one in objects))


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
        with pytest.raises(ImageTooLargeError, match="x: has more than 2 pages: cut it into several files"):
            list(read_pages(data, "x"))


def test_pages_of_a_tiff_are_counted_no_further_than_they_are_read(monkeypatch):
    """A directory of a TIFF takes a hundred bytes, and time."""
    monkeypatch.setattr("textspot.image_pages.MAX_PAGES", 4)
    counted = [count_frames(encode("TIFF", [Image.new("L", (8, 8))] * count), "x") for count in (1, 3, 4, 5, 9)]
    assert counted == [1, 3, 4, 5, 5]


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


def test_the_path_of_a_video_begins_at_the_folder_of_now(video, monkeypatch):
    """What decodes them is one process, which other folders were worked in before."""
    for folder in (video.parents[1], video.parent):
        monkeypatch.chdir(folder)
        assert len(list(read_frames(os.path.relpath(video), 0.5))) == 3


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
