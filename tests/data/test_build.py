"""From files to LMDBs: the cards and samples of the project, and everything that may be wrong with a source."""

import dataclasses
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from jsonargparse import ArgumentParser

from textspot.data.build import BuildReport, build_dataset, damaged_records
from textspot.data.card import Card, Counts, Split, load_card
from textspot.data.formats import PER_DATASET, PER_IMAGE
from textspot.data.lmdb_records import Reader
from textspot.data.parsing import AnnotationError
from textspot.data.synthetic.draw import DrawConfig
from textspot.data.synthetic.renderer import RendererConfig

DATASETS = Path("datasets")
SHARED = Path("../shared/data")
CARDS = sorted(path.parent.name for path in DATASETS.glob("*/card.yaml"))
LINE = "10,20,40,21,40,31,10,30,Exit\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three images with their annotation, as `card` expects them."""
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    (folder / "gts").mkdir()
    for number in (1, 2, 10):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), np.full((60, 100, 3), number, np.uint8))
        (folder / "gts" / f"gt_{number}.txt").write_text(LINE)
    return folder


def card(**changes) -> Card:
    split = Split(annotations="gts/gt_{stem}.txt", images="images/*.png")
    values = Card("mine", "mine", "ask me", "quad", "icdar_quad", {"train": split})
    return dataclasses.replace(values, **changes)


def build(card: Card, source: Path) -> BuildReport:
    (report,) = build_dataset(card, source, source.parent / "out")
    return report


def test_cards_are_found() -> None:
    assert {"icdar2013", "icdar2015", "own_data", "synthetic"} <= set(CARDS)


def test_every_format_has_a_card_with_a_sample() -> None:
    cards = {name: load_card(DATASETS / name / "card.yaml") for name in CARDS}
    sampled = {name: card for name, card in cards.items() if (DATASETS / name / "sample" / "expected.json").exists()}
    assert {name for name, card in cards.items() if not card.draw} == set(sampled)
    formats = {card.format_of(split) for card in sampled.values() for split in card.splits.values()}
    assert formats == {*PER_IMAGE, *PER_DATASET}


def test_the_table_of_cards_is_complete() -> None:
    table = [line for line in (DATASETS / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert sorted(re.findall("`(.*?)`", " ".join(row.split("|")[1] for row in table))) == CARDS


@pytest.mark.parametrize("name", CARDS)
def test_cards_load(name: str) -> None:
    assert load_card(DATASETS / name / "card.yaml").name == name


def test_a_card_loads_whatever_command_line_was_read_before() -> None:
    parser = ArgumentParser()
    parser.add_argument("--number", type=int)
    parser.parse_args(["--number", "1"])
    assert load_card(DATASETS / "quickstart_test" / "card.yaml").draw


def rounded(instance: dict) -> dict:
    """With coordinates as the samples have them: rotations and percentages come out with fifteen digits."""
    return instance | {"polygon": [[round(x, 2), round(y, 2)] for x, y in instance["polygon"]]}


@pytest.mark.parametrize("name", [name for name in CARDS if (DATASETS / name / "sample").exists()])
def test_samples(name: str, tmp_path: Path) -> None:
    """The sample beside a card is laid out as its source, and each format's reading of it is written down."""
    folder = DATASETS / name / "sample"
    reports = build_dataset(load_card(DATASETS / name / "card.yaml"), folder, tmp_path)
    stored = {
        report.split: {
            record.name: [rounded(instance.to_dict()) for instance in record.instances]
            for record in Reader(report.path)
        }
        for report in reports
    }
    assert stored == json.loads((folder / "expected.json").read_text())
    for report in reports:
        assert report.remedies == {}
        for record in Reader(report.path):
            assert record.image_bytes == (folder / record.name).read_bytes()


def test_report(source: Path) -> None:
    lines = [LINE, LINE.replace("Exit", "###"), "10,20,10,20,10,20,10,20,dot\n", "40,21,10,20,10,30,40,31,mirrored\n"]
    (source / "gts" / "gt_10.txt").write_text("".join(lines[:3]))
    (source / "gts" / "gt_2.txt").write_text("".join(lines) + "10,20,40,21,40,31,10,30,\n")
    split = Split("gts/gt_{stem}.txt", "images/*.png", counts=Counts(4, 9, 2))
    report = build(card(splits={"train": split}), source)
    assert str(report).splitlines() == [
        f"{source.parent}/out/train: 3 images, 7 instances: 4 readable, 2 ignored, 1 without transcript",
        "  dropped: no area: 2",
        "  repaired: ran anticlockwise, now clockwise from the same first corner: 1",
        "  warning: the card expects 4 images, 9 instances, 2 ignored, "
        "found 3 images, 9 instances, 2 ignored: is the source complete?",
    ]
    reader = Reader(report.path)
    assert [record.name for record in reader] == ["images/1.png", "images/10.png", "images/2.png"]
    assert reader.meta.card["access"] == "ask me"


def test_all_complaints_before_anything_is_written(source: Path) -> None:
    (source / "gts" / "gt_1.txt").unlink()
    (source / "gts" / "gt_2.txt").write_text(LINE + "1,2,3\n")
    (source / "gts" / "gt_10.txt").write_bytes(b"10,20,40,21,40,31,10,30,Caf\xe9\n")
    with pytest.raises(AnnotationError) as caught:
        build(card(), source)
    assert [complaint.split(":")[0] for complaint in caught.value.complaints] == [
        "images/1.png",
        "gt_10.txt",
        "gt_2.txt",
    ]
    assert re.search(r"images/1\.png: has no annotation file .*gts/gt_1\.txt", str(caught.value))
    assert "gt_10.txt: not UTF-8 (byte 27): convert it, with iconv" in str(caught.value)
    assert "gt_2.txt: line 2: expected 8 coordinates" in str(caught.value)
    assert not (source.parent / "out").exists()


def test_undecodable_images_are_named_and_nothing_remains(source: Path) -> None:
    for number in (1, 10):
        (source / "images" / f"{number}.png").write_bytes(b"GIF89a")
    with pytest.raises(AnnotationError, match=r"images/1\.png: cannot be decoded(.|\n)*images/10\.png: cannot be"):
        build(card(), source)
    assert os.listdir(source.parent / "out") == []


def test_no_files(source: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder\. mine: ask me"):
        build(card(), tmp_path / "nowhere")
    with pytest.raises(AnnotationError, match=r"source: no image matches \*\.gif; mine: ask me"):
        build(card(splits={"train": Split("gts/gt_{stem}.txt", "*.gif")}), source)
    with pytest.raises(FileNotFoundError, match="source: has no files of mine: ask me"):
        build(card(splits={"train": Split("gts/gt_{stem}.txt", "*.gif", optional=True)}), source)


def test_optional_split(source: Path) -> None:
    splits = {
        "here": Split("gts/gt_{stem}.txt", "images/1*.png"),
        "elsewhere": Split("gts/gt_{stem}.txt", "test/*.png", optional=True),
    }
    assert build(card(splits=splits), source).meta.count == 2


def test_drawn(source: Path) -> None:
    images = DrawConfig(num_images=2, renderer=RendererConfig(height=64, width=96, words_per_image=(1, 1)))
    drawn = card(format="", splits={}, draw={"scenes": images, "more": dataclasses.replace(images, seed=1)})
    with pytest.raises(ValueError, match="mine is rendered, not read from files: leave --source out"):
        build_dataset(drawn, source, source.parent / "out")
    reports = build_dataset(drawn, None, source.parent / "out")
    assert [(report.split, report.meta.count) for report in reports] == [("scenes", 2), ("more", 2)]
    assert Reader(reports[0].path)[0] != Reader(reports[1].path)[0]


def test_no_source(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mine is built from files: give --source, their folder\. ask me"):
        build_dataset(card(), None, tmp_path)


def test_one_file_for_all_images(source: Path) -> None:
    lines = [f'{{"image": "images/{name}", "instances": []}}' for name in ("2.png", "1.png", "3.png")]
    (source / "all.jsonl").write_text("\n".join(lines[:2]))
    jsonl = card(format="jsonl", splits={"train": Split("all.jsonl")})
    assert [record.name for record in Reader(build(jsonl, source).path)] == ["images/2.png", "images/1.png"]
    (source / "all.jsonl").write_text("\n".join(lines))
    with pytest.raises(AnnotationError, match=r"all\.jsonl: names the image images/3\.png, which is not in .*source"):
        build_dataset(jsonl, source, source.parent / "other")
    (source / "all.jsonl").write_text("\n".join([*lines[:2], lines[0]]))
    with pytest.raises(AnnotationError, match=r"all\.jsonl: the image images/2\.png has more than one entry"):
        build_dataset(jsonl, source, source.parent / "other")
    (source / "all.jsonl").write_text("{")
    with pytest.raises(AnnotationError, match=r"all\.jsonl: line 1: not JSON"):
        build_dataset(jsonl, source, source.parent / "other")
    (source / "all.jsonl").unlink()
    with pytest.raises(AnnotationError, match=r"all\.jsonl: no such annotation file"):
        build_dataset(jsonl, source, source.parent / "other")


def coco_text(source: Path, **sizes: tuple[int, int]) -> Path:
    """An annotation file for the images of `source`, all of the part `train` but 10.png, with stated sizes."""
    images = {
        name: {
            "file_name": f"elsewhere/{name}.png",
            "set": "val" if name == "10" else "train",
            "height": sizes.get(f"size_{name}", (60, 100))[0],
            "width": sizes.get(f"size_{name}", (60, 100))[1],
        }
        for name in ("1", "2", "10")
    }
    (source / "coco.json").write_text(json.dumps({"imgs": images, "anns": {}}))
    return source


def test_folder_and_part(source: Path) -> None:
    splits = {
        "train": Split("coco.json", folder="images", part="train"),
        "val": Split("coco.json", folder="images", part="val"),
        "ones": Split("coco.json", folder="images", images="images/1*.png"),
    }
    reports = build_dataset(card(format="coco_text", splits=splits), coco_text(source), source.parent / "out")
    assert {report.split: [record.name for record in Reader(report.path)] for report in reports} == {
        "train": ["images/1.png", "images/2.png"],
        "val": ["images/10.png"],
        "ones": ["images/1.png", "images/10.png"],
    }
    missing = {"train": Split("coco.json", folder="images", part="test")}
    with pytest.raises(AnnotationError, match=r"coco\.json: has no image of the part 'test', only of train, val"):
        build_dataset(card(format="coco_text", splits=missing), source, source.parent / "other")
    missing = {"train": Split("coco.json", folder="images", images="*.jpg")}
    with pytest.raises(AnnotationError, match="source: none of its images belongs to the split train"):
        build_dataset(card(format="coco_text", splits=missing), source, source.parent / "other")
    missing = {"train": Split("coco.json")}
    with pytest.raises(AnnotationError, match=r"coco\.json: names the image elsewhere/1\.png, which is not in "):
        build_dataset(card(format="coco_text", splits=missing), source, source.parent / "other")


@pytest.mark.parametrize(
    ("size", "reason"),
    [((100, 60), "its EXIF orientation was not heeded"), ((30, 50), "it was scaled or replaced since")],
)
def test_sizes_that_disagree(source: Path, size: tuple[int, int], reason: str) -> None:
    splits = {"train": Split("coco.json", folder="images")}
    report = build(card(format="coco_text", splits=splits), coco_text(source, size_2=size))
    height, width = size
    assert report.warnings == [f"images/2.png: annotated at {width} x {height} pixels, is 100 x 60: {reason}"]


def test_shares_divide_an_export(source: Path) -> None:
    names = [f"images/{number}.png" for number in range(1000)]
    train, val = Split("gts/gt_{stem}.txt", "images/*.png", share=(0, 0.9)), Split("a", share=(0.9, 1))
    assert all(train.takes(name) != val.takes(name) for name in names)
    assert 860 < sum(train.takes(name) for name in names) < 940
    assert [record.name for record in Reader(build(card(splits={"train": train}), source).path)] == [
        name for name in ("images/1.png", "images/10.png", "images/2.png") if train.takes(name)
    ]


def test_what_was_not_annotated_is_counted(source: Path) -> None:
    tasks = [
        {"id": 1, "data": {"image": "/data/upload/1/0123abcd-1.png"}, "annotations": [{"result": []}]},
        {"id": 2, "data": {"image": "/data/upload/1/0123abcd-2.png"}, "annotations": []},
    ]
    (source / "export.json").write_text(json.dumps(tasks))
    report = build(card(format="label_studio", splits={"train": Split("export.json", folder="images")}), source)
    assert [record.name for record in Reader(report.path)] == ["images/1.png"]
    assert report.remedies == {"left out: not annotated": 1}


def test_formats_may_differ_between_splits(source: Path) -> None:
    (source / "gts" / "gt_10.txt").write_text("10,20,40,21,40,31,10,30,####Exit\n")
    splits = {
        "train": Split("gts/gt_{stem}.txt", "images/2.png"),
        "test": Split("gts/gt_{stem}.txt", "images/10.png", format="polygon_line"),
    }
    train, test = build_dataset(card(splits=splits), source, source.parent / "out")
    assert Reader(train.path)[0].instances == Reader(test.path)[0].instances


@pytest.mark.parametrize(
    ("stated", "agrees"),
    [(Counts(3), True), (Counts(3, 4), True), (Counts(3, 4, 5), False), (Counts(2), False), (Counts(3, 5), False)],
)
def test_counts_state_what_is_known(stated: Counts, agrees: bool) -> None:
    assert stated.agrees_with(Counts(3, 4, 1)) == agrees
    assert str(Counts(3, 4)) == "3 images, 4 instances"


def test_overwrite(source: Path) -> None:
    build(card(), source)
    with pytest.raises(FileExistsError, match="out/train: exists already"):
        build(card(), source)
    (source / "images" / "1.png").unlink()
    (source / "gts" / "gt_1.txt").unlink()
    (report,) = build_dataset(card(), source, source.parent / "out", overwrite=True)
    assert report.meta.count == 2


def test_damaged_records(source: Path) -> None:
    path = build(card(), source).path
    assert damaged_records(Reader(path)) == []
    content = bytearray((path / "data.mdb").read_bytes())
    content[content.index(b"images/10.png")] ^= 1
    (path / "data.mdb").write_bytes(content)
    assert [re.sub(".*record", "record", words)[:19] for words in damaged_records(Reader(path))] == [
        "record 1 is damaged"
    ]


# Cards

CARD = """
name: mine
licence: mine
access: ask me
geometry: quad
format: icdar_quad
splits: {train: {images: images/*.png, annotations: "gts/gt_{stem}.txt", counts: {images: 3, instances: 3, ignored: 0}}}
"""


def test_load_card(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text(CARD)
    split = Split("gts/gt_{stem}.txt", "images/*.png", counts=Counts(3, 3, 0))
    assert load_card(tmp_path / "card.yaml") == card(splits={"train": split})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: mine", "", "required: name"),
        ("name: mine", "nme: mine\nname: mine", "'nme' is not accepted"),
        ("geometry: quad", "geometry: oval", "geometry.(.|\\n)*Got value: oval"),
        ("icdar_quad", "icdar_qaud", "format is 'icdar_qaud', expected one of icdar_quad, icdar_box, .*jsonl"),
        ("images: images", "image: images", "Option 'image' is not accepted"),
        ("images: images/*.png, ", "", r"splits\.train: .* expected a pattern under `images`"),
        ("gt_{stem}", "gt", r"splits\.train: .* path that holds \{stem\}"),
        ("images: images/*.png,", "images: '*.png', part: train,", r"splits\.train: .* leave `folder`, `part` out"),
        ("access: ask me", "access: at: once", "mapping values are not allowed"),
        ("ignored: 0", "ignored: none", "Expected a <class 'int'>(.|\\n)*Given value: none"),
        (
            "images: images",
            "share: [0.9, 0.1], images: images",
            r"share is .*, expected two rising",
        ),
    ],
)
def test_bad_cards(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in CARD
    (tmp_path / "card.yaml").write_text(CARD.replace(old, new))
    with pytest.raises(ValueError, match=rf"card\.yaml: (.|\n)*{words}"):
        load_card(tmp_path / "card.yaml")


def test_no_splits() -> None:
    with pytest.raises(ValueError, match=r"expected parts under one of `splits` .* and `draw`"):
        card(splits={})
    with pytest.raises(ValueError, match=r"expected parts under one of"):
        card(draw={"train": DrawConfig(1)})


def test_missing_card() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml: no such card"):
        load_card("nowhere.yaml")


# Real data


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "icdar2015").exists(), reason="needs the ICDAR 2015 images in ../shared/data/icdar2015"
)
def test_icdar2015(tmp_path: Path) -> None:
    source = SHARED / "icdar2015"
    train, val = build_dataset(load_card("datasets/icdar2015/card.yaml"), source, tmp_path)
    for report, names in ((train, "train.txt"), (val, "val.txt")):
        stems = [Path(record.name).stem for record in Reader(report.path)]
        assert sorted(stems) == sorted((source / names).read_text().split())
        assert report.remedies == {}
    assert val.warnings == []
    assert [warning.split(";")[0] for warning in train.warnings] == ["trained on as texts: '...' 1 times"]  # it is one
    assert train.meta.instances + val.meta.instances == 11_886
    assert train.meta.ignored + val.meta.ignored == 7_418
    assert val.meta.readable == 451


@pytest.mark.skipif(not (SHARED / "mlt17_boxes").exists(), reason="needs the images in ../shared/data/mlt17_boxes")
def test_mlt17_boxes(tmp_path: Path) -> None:
    """Boxes without transcripts train the detector: nothing is readable, nothing ignored."""
    for report in build_dataset(load_card("datasets/mlt17_boxes/card.yaml"), SHARED / "mlt17_boxes", tmp_path):
        assert report.warnings == []
        assert (report.meta.readable, report.meta.ignored) == (0, 0)
        assert report.meta.instances > 100


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "icdar2013").exists(), reason="needs the ICDAR 2013 images in ../shared/data/icdar2013"
)
def test_icdar2013(tmp_path: Path) -> None:
    train, val = build_dataset(load_card("datasets/icdar2013/card.yaml"), SHARED / "icdar2013", tmp_path)
    assert train.meta.count + val.meta.count == 181
    assert train.meta.readable + val.meta.readable == 648
    assert all(int(Path(record.name).stem) % 5 == 0 for record in Reader(val.path))
    assert all(int(Path(record.name).stem) % 5 for record in Reader(train.path))


def test_a_margin_is_taken_off_after_the_repair(source: Path) -> None:
    mirrored = "10,20,10,40,50,40,50,20,mirrored\n"
    for number in (1, 2, 10):
        (source / "gts" / f"gt_{number}.txt").write_text(mirrored)
    report = build(card(margin=(0.1, 0.05)), source)
    assert report.remedies == {"repaired: ran anticlockwise, now clockwise from the same first corner": 3}
    (word,) = Reader(report.path)[0].instances
    np.testing.assert_allclose(word.polygon, [[11, 22], [49, 22], [49, 38], [11, 38]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin": (0.5, 0.0)}, r"margin is \[0.5, 0.0\], expected two shares between -0.5 and 0.5"),
        ({"margin": (0.1, 0.0), "geometry": "polygon"}, "a margin can be taken off boxes and quads"),
    ],
)
def test_margins_that_cannot_be(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        card(**changes)


def word_crops(source: Path, *names: str) -> Card:
    """The card of crops in `source`, and their table."""
    (source / "labels.tsv").write_text("image\tlabel\n" + "".join(f"{name}\tExit\n" for name in names))
    return card(format="word_crops", splits={"train": Split("labels.tsv", folder="images")})


def test_relative_polygons_become_pixels(source: Path) -> None:
    (record, _) = Reader(build(word_crops(source, "10.png", "2.png"), source).path)
    assert record.name == "images/10.png"
    assert record.instances[0].polygon == ((0, 0), (100, 0), (100, 60), (0, 60))


def test_a_crop_that_is_no_image_is_named(source: Path) -> None:
    (source / "images" / "2.png").write_bytes(b"none")
    with pytest.raises(AnnotationError, match=r"images/2\.png: cannot be decoded as an image"):
        build(word_crops(source, "1.png", "2.png"), source)
