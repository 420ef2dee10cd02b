import io
import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_spotter import noise, save_tiny_spotter, write_noise

import textspot
from textspot.cli import infer as infer_verb
from textspot.data.lmdb_records import Reader, Writer
from textspot.engine.evaluate import predict_dataset
from textspot.metrics import read_results
from textspot.outputs import FORMATS
from textspot.structures import Prediction, TextInstance


@pytest.fixture
def infer(weights, tmp_path, monkeypatch):
    """Runs the tool in an empty folder; gives its exit status."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: infer_verb.main(["--weights", str(weights), "--device", "cpu", *map(str, arguments)])


def written(folder="predictions"):
    return sorted(str(file.relative_to(folder)) for file in Path(folder).rglob("*") if file.is_file())


def read_json(name, folder="predictions"):
    return json.loads((Path(folder) / name).read_text(encoding="utf-8"))


def test_three_files_for_an_image(infer, weights, capsys):
    write_noise("img_7.png", 64, 96)
    assert infer("img_7.png") == 0
    assert written() == ["img_7.jpg", "img_7.json", "res_img_7.txt"]
    found = textspot.load(weights)(Path("img_7.png"))
    assert len(found) > 3
    assert read_json("img_7.json") == found.to_dict()
    results, _ = read_results("predictions", ["7"])
    assert [instance.text for instance in results["7"]] == [instance.text for instance in found if instance.text]
    np.testing.assert_allclose(results["7"][0].polygon, found[0].polygon, atol=0.5)
    picture = np.asarray(Image.open("predictions/img_7.jpg"))
    assert picture.shape == (64, 2 * 96, 3)  # so many words that their texts stand on a page beside the image
    assert np.abs(picture[:, :96].astype(int) - noise(64, 96)).max() > 100  # something is drawn
    line = f"img_7.png: {len(found)} found: {' | '.join(line.text for line in found.lines())}\n"
    assert line in capsys.readouterr().out


def test_the_files_hold_what_validation_decodes(infer, weights):
    sources = [Path(f"photo{number}.png") for number in range(3)]
    for number, source in enumerate(sources):
        write_noise(source, 40, 60 + 40 * number, seed=number)
    assert infer(*sources, "--batch_size", 3) == 0
    with Writer("data", {}) as writer:
        for source in sources:
            writer.add(source.name, source.read_bytes(), [])
    predictions, _ = predict_dataset(textspot.load(weights), Reader("data"))
    for source, prediction in zip(sources, predictions, strict=True):
        inferred, validated = (
            report["instances"] for report in (read_json(f"{source.stem}.json"), prediction.to_dict())
        )
        assert [instance["text"] for instance in inferred] == [instance["text"] for instance in validated]
        for key in ("polygon", "score", "text_score"):
            values = [[instance[key] for instance in instances] for instances in (inferred, validated)]
            np.testing.assert_allclose(*values, atol=0.011)  # rounded to hundredths
        assert len(inferred) > 0


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _exif_turned():
    exif = Image.Exif()
    exif[274] = 6  # stands on its side
    return encode(Image.fromarray(noise(60, 40)), "JPEG", exif=exif)


COLOURS = Image.fromarray(noise(40, 60))
KINDS = {
    "jpeg.jpg": encode(COLOURS, "JPEG"),
    "turned.jpg": _exif_turned(),
    "inks.jpg": encode(COLOURS.convert("CMYK"), "JPEG"),
    "grey.png": encode(COLOURS.convert("L"), "PNG"),
    "grey_transparent.png": encode(COLOURS.convert("LA"), "PNG"),
    "transparent.png": encode(COLOURS.convert("RGBA"), "PNG"),
    "palette.png": encode(COLOURS.convert("P"), "PNG"),
    "bilevel.png": encode(COLOURS.convert("1"), "PNG"),
    "sixteen_bit.png": encode(Image.fromarray(noise(40, 60)[..., 0].astype(np.uint16) * 257), "PNG"),
    "tiff.TIF": encode(COLOURS, "TIFF"),
    "bmp.bmp": encode(COLOURS, "BMP"),
    "animated.gif": encode(COLOURS, "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40))]),
    "webp.webp": encode(COLOURS, "WEBP"),
}


def test_every_kind_of_image(infer):
    Path("kinds").mkdir()
    for name, data in KINDS.items():
        (Path("kinds") / name).write_bytes(data)
    write_noise("kinds/dot.png", 1, 1)
    assert infer("kinds") == 0
    assert len(written()) == 3 * (len(KINDS) + 2)  # of the animation both frames
    for name in KINDS:
        report = read_json(f"{Path(name).stem}_p1.json" if name == "animated.gif" else f"{Path(name).stem}.json")
        assert (report["height"], report["width"]) == (40, 60), name
        assert len(report["instances"]) > 0, name
    report = read_json("dot.json")
    assert (report["image"], report["height"], report["width"]) == ("kinds/dot.png", 1, 1)


def test_a_file_that_is_no_image_is_named_and_the_others_are_read(infer, capsys):
    write_noise("good.png")
    write_noise("short.png")
    Path("short.png").write_bytes(Path("short.png").read_bytes()[:60])
    Path("note.jpg").write_text("no image")
    Path("empty.jpg").touch()
    assert infer("note.jpg", "empty.jpg", "short.png", "good.png") == 1
    output = capsys.readouterr()
    for name in ("note.jpg: cannot be decoded", "empty.jpg: the file is empty", "short.png: cannot be decoded"):
        assert name in output.err
    assert "1 of 4 images read" in output.out
    assert written() == ["good.jpg", "good.json", "res_good.txt"]


def test_an_argument_that_names_nothing_fails_and_the_others_are_read(infer, capsys):
    write_noise("good.png")
    Path("bare").mkdir()
    assert infer("absent.jpg", "*.tif", "bare", "good.png") == 1
    errors = capsys.readouterr().err
    assert "absent.jpg: no such file or folder, and nothing matches it as a pattern" in errors
    assert "*.tif: no such file" in errors
    assert "bare: no image in it" in errors
    assert "good.json" in written()


def test_nothing_to_read(infer, capsys):
    assert infer("absent/*.jpg") == 1
    assert capsys.readouterr().err.startswith("error: absent/*.jpg: no such file or folder")
    assert not Path("predictions").exists()


def test_folders_files_and_patterns_keep_their_folders(infer):
    for name in ("a/x.png", "a/deep/y.JPG", "b/x.png", "b/[1].png", "c/x.jpg", "c/z.png"):
        write_noise(name, 8, 8)
    Path("a/notes.txt").write_text("no image by its name, so it is left alone")
    assert infer("a", "b/x.png", "b/[1].png", "c/*.png", "--pictures", "false") == 0
    stems = [name.removesuffix(".json") for name in written() if name.endswith(".json")]
    assert stems == ["a/deep/y", "a/x", "b/[1]", "b/x", "c/z"]
    assert not [name for name in written() if name.endswith(".jpg")]


def test_one_folder_is_the_top_of_its_results(infer):
    for name in ("photos/x.png", "photos/deep/y.png"):
        write_noise(name, 8, 8)
    assert infer("photos", "--out", "results", "--pictures", "false") == 0
    assert written("results") == ["deep/res_y.txt", "deep/y.json", "res_x.txt", "x.json"]


def test_one_stem_in_one_folder_is_numbered(infer):
    for name in ("x.bmp", "x.jpg", "x.png", "x_2.png"):
        write_noise(name, 8, 8)
    assert infer("x.bmp", "x.jpg", "x.png", "x_2.png", "--pictures", "false") == 0
    sources = {name: read_json(name)["image"] for name in written() if name.endswith(".json")}
    assert sources == {"x.json": "x.bmp", "x_2.json": "x.jpg", "x_3.json": "x.png", "x_2_2.json": "x_2.png"}


def test_a_result_file_and_a_text_of_another_image_are_two_files(infer):
    for name in ("x.png", "res_x.png"):
        write_noise(name, 64, 96)
    assert infer("x.png", "res_x.png", "--pictures", "false", "--format", "rrc", "text") == 0
    assert len(written()) == 4
    assert (
        sum(",JA" in text or "," in text.splitlines()[0] for text in map(Path.read_text, Path("predictions").iterdir()))
        == 2
    )


def test_an_image_named_twice_is_read_once(infer, capsys):
    write_noise("photos/x.png", 8, 8)
    assert infer("photos/x.png", "photos", "./photos/*.png") == 0
    assert "1 of 1 images read" in capsys.readouterr().out


def test_earlier_results_are_no_images(infer, capsys):
    write_noise("x.png", 8, 8)
    for _ in range(2):
        assert infer(".") == 0
        assert "1 of 1 images read" in capsys.readouterr().out
    assert infer("predictions") == 1
    assert "predictions: no image in it but those in --out, predictions" in capsys.readouterr().err


def test_a_photograph_is_never_overwritten(infer, capsys):
    write_noise("photos/x.jpg", 8, 8)
    before = Path("photos/x.jpg").read_bytes()
    Path("link").symlink_to("photos")
    assert infer("photos", "--out", "link") == 1
    assert infer("photos/x.jpg", "--out", "link") == 1
    Path("out").mkdir()
    Path("out/x.jpg").symlink_to("../photos/x.jpg")
    assert infer("photos", "--out", "out") == 1
    assert "out/x.jpg: is photos/x.jpg, which is to be read" in capsys.readouterr().err
    assert written("photos") == ["x.jpg"]
    assert Path("photos/x.jpg").read_bytes() == before


def test_a_list_of_words_is_never_overwritten(infer):
    write_noise("x.png", 8, 8)
    Path("predictions").mkdir()
    Path("predictions/res_x.txt").write_text("zebra\n")
    assert infer("x.png", "--lexicon", "predictions/res_x.txt") == 1
    assert Path("predictions/res_x.txt").read_text() == "zebra\n"


def test_a_bad_name_costs_one_image_only(infer, capsys):
    names = ["..jpg", "x.png", os.fsdecode(b"not utf-8 \xff.png"), "\x1b[31mred.png", "long" * 61 + "name.png"]
    Path("in").mkdir()
    for name in names:
        Path("in", name).write_bytes(encode(COLOURS, "PNG"))
    assert infer("in") == 1
    output = capsys.readouterr()
    assert "4 of 5 images read" in output.out
    assert "name.png: its results cannot be written" in output.err
    assert "\x1b" not in output.out + output.err
    assert {read_json(name)["image"] for name in written() if name.endswith(".json")} == {
        f"in/{name}" for name in names[:4]
    }


def test_evaluate_takes_what_was_written(infer):
    write_noise("img_1.png", 64, 96)
    assert infer("img_1.png") == 0
    results, repairs = read_results("predictions", ["1"])
    assert len(results["1"]) > 3
    assert repairs == []


def test_the_threshold_is_the_stored_one_unless_given(infer):
    write_noise("x.png", 64, 96)
    assert infer("x.png") == 0
    stored = read_json("x.json")["instances"]
    assert infer("x.png", "--threshold", 0.7) == 0
    assert read_json("x.json")["instances"] == [instance for instance in stored if instance["score"] > 0.7]
    assert infer("x.png", "--threshold", 1) == 0
    assert read_json("x.json")["instances"] == []
    assert Path("predictions/res_x.txt").read_bytes() == b""


def test_a_very_large_image_is_read_in_tiles_and_a_message_says_so(infer, tmp_path, capsys):
    small = ("--weights", save_tiny_spotter(tmp_path / "small.safetensors", max_side=320), "--pictures", "false")
    for name in ("x.png", "y.png"):
        write_noise(name, 75, 725)
    assert infer("x.png", "y.png", *small) == 0
    remarks = [line for line in capsys.readouterr().err.splitlines() if "regions" not in line]  # noise has many
    assert remarks == [f"warning: {name}: 725 x 75 pixels are read in 3 tiles" for name in ("x.png", "y.png")]
    in_tiles = len(read_json("x.json")["instances"])
    assert infer("x.png", *small, "--tiling", "false") == 0
    assert "tiles" not in capsys.readouterr().err
    assert 0 < len(read_json("x.json")["instances"]) < in_tiles / 2


def test_more_sizes_and_turned_copies_find_more(infer):
    write_noise("x.png", 64, 96)
    assert infer("x.png", "--pictures", "false") == 0
    usual = len(read_json("x.json")["instances"])
    assert infer("x.png", "--pictures", "false", "--quality", "best", "--turned", "true") == 0
    assert len(read_json("x.json")["instances"]) > usual  # noise holds something at every size and turn


def test_an_exported_network_writes_the_same_files(infer, exported):
    weights, graph = exported / "model.safetensors", exported / "spotter.onnx"
    write_noise("x.png", 64, 96)
    for options in (["--weights", weights, "--num_threads", 1], ["--weights", graph, "--runtime", "openvino"]):
        assert infer("x.png", *options, "--out", f"of_{Path(options[1]).suffix}", "--precision", "float32") == 0
    files = [Path(folder, "res_x.txt").read_text().splitlines() for folder in ("of_.safetensors", "of_.onnx")]
    assert [line.split(",")[8:] for line in files[0]] == [line.split(",")[8:] for line in files[1]] != []


def test_a_lexicon_corrects_the_files(infer, capsys):
    write_noise("x.png", 64, 96)
    assert infer("x.png") == 0
    longest = max((instance["text"] for instance in read_json("x.json")["instances"]), key=len)
    Path("words.txt").write_text(f"{longest.swapcase()}\n")
    assert infer("x.png", "--lexicon", "words.txt") == 0
    assert longest.swapcase() in [instance["text"] for instance in read_json("x.json")["instances"]]
    assert f",{longest.swapcase()}" in Path("predictions/res_x.txt").read_text()
    Path("words.txt").write_text("\n")
    assert infer("x.png", "--lexicon", "words.txt") == 1
    assert capsys.readouterr().err == "error: words.txt: no words; expected one per line\n"


def test_a_language_is_a_name_a_file_or_none(infer, capsys):
    write_noise("x.png", 64, 96)
    Path("words.txt").write_text("zebra\nzebu\n")
    texts = {}
    for language in ("none", "english", "words.txt"):
        assert infer("x.png", "--language", language) == 0
        texts[language] = [instance["text"] for instance in read_json("x.json")["instances"]]
    assert len({str(found) for found in texts.values()}) == 3  # noise is read with doubt
    assert infer("x.png", "--language", "english", "--beam.weight", "2") == 0
    assert [instance["text"] for instance in read_json("x.json")["instances"]] != texts["english"]
    assert infer("x.png", "--beam.weight", "2") == 1
    assert "there is none: choose one" in capsys.readouterr().err
    assert infer("x.png", "--language", "klingon") == 1
    assert "error: klingon: neither a language that ships (bulgarian, catalan" in capsys.readouterr().err


def test_a_region_that_could_not_be_read_is_no_line_of_the_result_file(tmp_path):
    instances = [
        TextInstance(np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.float32), text, 0.5) for text in ("", "EXIT")
    ]
    prediction = Prediction(tuple(instances), (20, 20), "x.png")
    options = infer_verb.InferOptions(images=("x.png",), out=tmp_path)
    infer_verb.write_outputs(options, Path("x"), noise(20, 20), prediction)
    assert (tmp_path / "res_x.txt").read_text() == "0,0,9,0,9,9,0,9,EXIT"
    assert [instance["text"] for instance in read_json("x.json", tmp_path)["instances"]] == ["", "EXIT"]


def test_on_a_terminal_the_words_stand_above_a_bar(infer, capsys, monkeypatch):
    for name in ("x.png", "y.png"):
        write_noise(name, 64, 96)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert infer("x.png", "y.png") == 0
    output = capsys.readouterr()
    assert "reading" in output.err
    for name in ("x", "y"):
        num_found = len(read_json(f"{name}.json")["instances"])
        assert re.search(rf"{name}\.png: {num_found} found: \w+", (output.out + output.err).replace("\n", ""))


def save_tiff(path, *sizes):
    pages = [Image.fromarray(noise(height, width, seed)) for seed, (height, width) in enumerate(sizes)]
    pages[0].save(path, save_all=True, append_images=pages[1:])


def test_every_page_of_a_file_has_its_results(infer, capsys):
    save_tiff("scan.tiff", (40, 60), (48, 64), (64, 96))
    write_noise("scan_p2.png", 8, 8)
    assert infer("scan.tiff", "scan_p2.png", "--pictures", "false", "--batch_size", 2) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert "scan.tiff, page 3: " in output.out
    assert "4 of 4 images read" in output.out
    reports = {name: read_json(name) for name in written() if name.endswith(".json")}
    assert {name: (report["image"], report.get("page"), report["height"]) for name, report in reports.items()} == {
        "scan_p1.json": ("scan.tiff", 1, 40),
        "scan_p2_2.json": ("scan.tiff", 2, 48),
        "scan_p3.json": ("scan.tiff", 3, 64),
        "scan_p2.json": ("scan_p2.png", None, 8),
    }


def test_a_page_that_cannot_be_decoded_is_named(infer, capsys):
    save_tiff("scan.tiff", (40, 60), (48, 64))
    data = Path("scan.tiff").read_bytes()
    Path("scan.tiff").write_bytes(data[: 40 * 60 * 3 + 100])
    write_noise("x.png", 8, 8)
    assert infer("scan.tiff", "x.png") == 1
    assert "scan.tiff" in capsys.readouterr().err
    assert "x.json" in written()


def test_standard_input(infer, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(encode(COLOURS, "PNG"))))
    assert infer("-") == 0
    assert read_json("stdin.json")["image"] == "-"
    assert "1 of 1 images read" in capsys.readouterr().out


def test_a_url(infer, web_server, capsys):
    url = web_server({"/photos/a%20sign.png": encode(COLOURS, "PNG")}) + "/photos/a%20sign.png"
    assert infer(url) == 1
    assert "which is no public address" in capsys.readouterr().err
    assert infer(url, "--private_urls") == 0
    assert read_json("a sign.json")["image"] == url


def test_a_video_by_frame(infer, capsys):
    writer = cv2.VideoWriter("clip.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for seed in range(12):
        writer.write(noise(64, 96, seed))
    writer.release()
    assert infer("clip.avi") == 1
    assert "say how often a frame is read, such as --every 0.5s" in capsys.readouterr().err
    assert infer("clip.avi", "--every", "0.5s", "--pictures", "false") == 0
    assert [read_json(f"clip_p{number}.json")["page"] for number in (1, 6, 11)] == [1, 6, 11]
    assert "clip.avi, 0.50 s: " in capsys.readouterr().out


def test_a_time_between_frames_without_a_video(infer, capsys):
    write_noise("x.png", 8, 8)
    assert infer("x.png", "--every", "0.5s") == 1
    assert "error: --every says how often a frame of a video is read, and there is no video" in capsys.readouterr().err
    assert not Path("predictions").exists()


def test_more_regions_than_are_read(infer, capsys):
    write_noise("x.png", 64, 96)
    assert infer("x.png", "--max_regions", 2) == 0
    assert "warning: x.png: 2 regions are read, the best ones; raise max_regions" in capsys.readouterr().err
    assert len(read_json("x.json")["instances"]) <= 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file, or no regular one; expected the model.safetensors"),
        (b"", "cut short, or not a safetensors file"),
        (b"PK\x03\x04 another format", "cut short, or not a safetensors file"),
        ("half", "cut short, or not a safetensors file"),
    ],
)
def test_weights_that_cannot_be_used(infer, weights, capsys, content, words):
    write_noise("x.png", 8, 8)
    if content is not None:
        half = weights.read_bytes()[: weights.stat().st_size // 2]
        Path("bad.safetensors").write_bytes(half if content == "half" else content)
    assert infer("x.png", "--weights", "bad.safetensors") == 1
    assert capsys.readouterr().err.startswith(f"error: bad.safetensors: {words}")
    assert not Path("predictions").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "images"),
        (["x.png", "--threshold", "7"], "threshold"),
        (["x.png", "--batch_size", "0"], "batch_size"),
        (["x.png", "--pictures", "perhaps"], "pictures"),
        (["x.png", "--colour", "red"], "colour"),
        (["x.mp4", "--every", "never"], "--every is 'never', expected seconds"),
        (["x.mp4", "--every", "0"], "--every is '0', expected seconds"),
        (["x.png", "--language", "none", "--beam.width", "8"], "--language none has no use for --beam.width"),
    ],
)
def test_options_that_make_no_sense(infer, capsys, options, words):
    with pytest.raises(SystemExit) as caught:
        infer(*options)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_a_device_that_is_not_there(infer, capsys):
    write_noise("x.png", 8, 8)
    assert infer("x.png", "--device", "cuda:99") == 1
    assert capsys.readouterr().err.startswith("error: device is 'cuda:99'")


def test_results_that_cannot_be_written(infer, capsys):
    write_noise("x.png", 8, 8)
    Path("taken").write_text("a file where the folder should be")
    assert infer("x.png", "--out", "taken") == 1
    assert "taken" in capsys.readouterr().err


def test_an_interrupt_ends_without_a_traceback(infer, capsys, monkeypatch):
    write_noise("x.png", 8, 8)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(infer_verb, "pages_of_file", interrupt)
    assert infer("x.png") == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.slow
def test_the_command_of_the_documentation(weights, tmp_path):
    write_noise(tmp_path / "photo.png")
    run = partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True)
    finished = run([sys.executable, "-m", "textspot", "infer", "--weights", weights, "photo.png"])
    assert (finished.returncode, finished.stderr) == (0, "")
    assert written(tmp_path / "predictions") == ["photo.jpg", "photo.json", "res_photo.txt"]
    weights_cut = tmp_path / "cut.safetensors"
    weights_cut.write_bytes(weights.read_bytes()[:-1])
    finished = run([sys.executable, "-m", "textspot", "infer", "--weights", weights_cut, "photo.png"])
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"error: {weights_cut}: cut short")
    assert finished.stderr.count("\n") == 1


def test_a_format_that_is_asked_for_takes_the_place_of_the_usual_ones(infer, capsys):
    write_noise("img_7.png", 64, 96)
    assert infer("img_7.png", "--format", *FORMATS, "json", "rrc") == 0
    suffixes = ("alto.xml", "coco.json", "csv", "hocr", "jpg", "json", "md", "pdf", "txt")
    assert written() == [*(f"img_7.{suffix}" for suffix in suffixes), "res_img_7.txt"]
    printed = capsys.readouterr().out.split(" found: ")[1].splitlines()[0]
    lines = Path("predictions/img_7.txt").read_text().split("\n")
    assert " | ".join(line for line in lines if line) == printed
    results, repairs = read_results("predictions", ["7"])  # what stands beside a result is no fault
    assert (len(results["7"]) > 3, repairs) == (True, [])
    assert infer("img_7.png", "--format", "text", "--pictures", "false", "--out", "alone") == 0
    assert written("alone") == ["img_7.txt"]


def test_a_document_holds_all_pages_of_its_file(infer):
    save_tiff("scan.tiff", (40, 60), (48, 64), (64, 96))
    write_noise("x.png", 64, 96)
    assert infer("scan.tiff", "x.png", "--format", "text", "csv", "--pictures", "false") == 0
    assert written() == ["scan.csv", "scan.txt", "x.csv", "x.txt"]
    assert Path("predictions/scan.txt").read_text().count("\f") == 2
    pages = [line.split(",")[1] for line in Path("predictions/scan.csv").read_text().splitlines()[1:]]
    assert sorted(set(pages)) == ["1", "2", "3"]


def test_an_unknown_format_is_refused(infer, capsys):
    with pytest.raises(SystemExit) as ending:
        infer("x.png", "--format", "docx")
    assert ending.value.code == 2
    assert "format" in capsys.readouterr().err


def test_a_document_never_takes_the_place_of_what_is_read(infer, capsys):
    Path("scans").mkdir()
    Image.fromarray(noise(64, 96)).save("scans/x.pdf")
    Path("out").mkdir()
    Path("out/x.pdf").symlink_to("../scans/x.pdf")
    before = Path("scans/x.pdf").read_bytes()
    assert infer("scans", "--format", "pdf", "--pictures", "false", "--out", "out") == 1
    assert "out/x.pdf: is scans/x.pdf, which is to be read" in capsys.readouterr().err
    assert Path("scans/x.pdf").read_bytes() == before
