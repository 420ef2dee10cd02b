"""Which files are read, and that none of them is ever written to."""

import os
from pathlib import Path

import pytest

from textspot.cli.command import MOST_PRINTED, printable
from textspot.image_folders import Places, find_images, place_outputs, refuse_overwriting


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in/sub").mkdir(parents=True)


def touch(*names):
    for name in names:
        Path(name).touch()


def test_all_that_a_folder_holds_is_read_or_named():
    read = [f"in/a.{suffix}" for suffix in ("JPEG", "avif", "bmp", "gif", "jfif", "jp2", "jpe", "png", "tiff", "webp")]
    touch(*read, "in/sub/naïve photo [1].png", "in/IMG_4000.HEIC", "in/scan.svg", "in/._a.png", "in/notes.txt", "in/x")
    Path("elsewhere").mkdir()
    touch("elsewhere/b.png")
    Path("in/link").symlink_to("../elsewhere")
    Path("in/linked.png").symlink_to("../elsewhere/b.png")
    Path("in/dangling.png").symlink_to("nowhere")
    found = find_images(["in"], Path("out"))
    assert found.images == sorted(map(Path, [*read, "in/linked.png", "in/sub/naïve photo [1].png"]))
    assert found.complaints == [
        "in/IMG_4000.HEIC: .heic files are not read: convert it to JPEG or PNG",
        "in/dangling.png: a link to nothing, or no regular file",
        "in/link: a link to a folder, which is not followed: name it beside in",
        "in/scan.svg: .svg files are not read: convert it to JPEG or PNG",
    ]
    assert found.describe_passed_over() == (
        "passed over, as no images by their names: 1 ._*, 1 .txt, 1 without a suffix"
    )
    assert find_images(["in/link"], Path("out")).images == [Path("in/link/b.png")]


def test_a_folder_that_links_to_itself_ends():
    touch("in/a.png")
    Path("in/sub/loop").symlink_to("..")
    found = find_images(["in"], Path("out"))
    assert found.images == [Path("in/a.png")]
    assert found.complaints == ["in/sub/loop: a link to a folder, which is not followed: name it beside in"]


@pytest.mark.parametrize("out", ["in", "link", "in/../in", "deep/link"])
def test_images_in_the_folder_of_the_results_are_left_alone_whatever_links_lead_there(out):
    touch("in/a.png")
    Path("link").symlink_to("in")
    Path("deep").mkdir()
    Path("deep/link").symlink_to("../link")
    found = find_images(["in"], Path(out))
    assert found.images == []
    assert found.complaints == [f"in: no image in it but those in --out, {out}"]


def test_earlier_results_are_passed_over_without_a_word():
    touch("in/a.png")
    Path("in/out").mkdir()
    touch("in/out/a.json", "in/out/a.jpg", "in/out/res_a.txt")
    found = find_images(["in"], Path("in/out"))
    assert (found.images, found.complaints, found.describe_passed_over()) == ([Path("in/a.png")], [], "")


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_result_that_is_an_input_is_refused(link):
    touch("in/a.jpg")
    Path("out").mkdir()
    link(Path("out/a.jpg"), Path("in/a.jpg").absolute())
    with pytest.raises(ValueError, match=r"^out/a\.jpg: is in/a\.jpg, which is to be read: choose another folder"):
        refuse_overwriting([Path("out/b.jpg"), Path("out/a.jpg")], [Path("in/a.jpg")])
    refuse_overwriting([Path("out/b.jpg")], [Path("in/a.jpg"), Path("in/absent.jpg")])


@pytest.mark.parametrize("kind", [os.mkfifo, os.mkdir])
def test_a_result_is_not_written_into_what_is_no_file(kind):
    kind("in/a.jpg")
    with pytest.raises(ValueError, match=r"^in/a\.jpg: a folder, a pipe or a device"):
        refuse_overwriting([Path("in/a.jpg")], [])


def test_names_that_are_hard_to_take_apart_have_places_of_their_own():
    names = ["a/..jpg", "a/...png", "a/.png", "a/x.jpg", "a/x.png", os.fsdecode(b"a/\xff.png")]
    places = place_outputs([Path(name) for name in names], Places(lambda place: [place]))
    stems = [place.name for place in places.values()]
    assert stems == ["..jpg", "...png", ".png", "x", "x_2", "\udcff"]
    assert len({place.with_name(f"{place.name}.json") for place in places.values()}) == len(names)


def test_what_would_steer_a_terminal_is_escaped():
    assert printable("\x1b[31mred\x07\r\x9b\u202e") == "\\x1b[31mred\\x07\\r\\x9b\\u202e"
    assert printable("naïve\n\t文字 \u200d") == "naïve\n\t文字 \u200d"
    assert printable(os.fsdecode(b"\xff.png")).encode() == b"\\udcff.png"
    assert printable("x" * (MOST_PRINTED + 5)).endswith("x ... 5 more characters")
