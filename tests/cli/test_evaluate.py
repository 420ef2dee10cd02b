import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import pytest
from tiny_spotter import noise

import textspot
from textspot.cli import evaluate as evaluate_verb
from textspot.data.annotation import Instance
from textspot.data.lmdb_records import Reader, Writer
from textspot.engine.evaluate import validate

DRAWN = Path(__file__).parents[1] / "data" / "rrc_drawn"
FILES = ["--gt", str(DRAWN / "gt.zip"), "--results", str(DRAWN / "submission.zip")]
BOTH = {"icdar2015/detection_iou", "icdar2015/end_to_end"}
PERFECT = {"precision": 1.0, "recall": 1.0, "hmean": 1.0}


@pytest.fixture(scope="module")
def data(weights, tmp_path_factory):
    """Three images annotated with what the spotter finds in them; what it cannot read is `###`."""
    path = tmp_path_factory.mktemp("data") / "found"
    spotter = textspot.load(weights)
    with Writer(path, {}) as writer:
        for number in range(3):
            image = noise(64, 96, number)
            instances = [
                Instance(tuple(map(tuple, found.polygon.tolist())), found.text or "###", ignore=not found.text)
                for found in spotter(image)
            ]
            _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            writer.add(f"{number}.png", encoded.tobytes(), instances)
    return path


def write_zip(path, **texts):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in texts.items():
            archive.writestr(f"{name}.txt", text)
    return str(path)


def test_files_score_as_the_official_scripts_say(tmp_path, capsys):
    official = json.loads((DRAWN / "expected.json").read_text())
    out = tmp_path / "out.json"
    assert evaluate_verb.main(["--protocol", *official["expected"], *FILES, "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    for protocol, figures in official["expected"].items():
        assert report[protocol] == pytest.approx(figures, abs=1e-9)
        assert report["per_image"][protocol]["1"] == pytest.approx(official["per_image"][protocol]["1"], abs=1e-9)
    assert report["repairs"] == []
    table = capsys.readouterr().out
    assert "icdar2015/end_to_end" in table
    assert "0.4791  0.5398  0.5076" in table
    assert "80 images\n" in table


def test_scoring_files_needs_no_torch():
    program = (
        "import sys\n"
        "from textspot.cli.main import main\n"
        f"assert main({['evaluate', *FILES]!r}) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "0.5076" in finished.stdout


def test_faults_are_named_or_repaired(tmp_path, capsys):
    gt = write_zip(tmp_path / "gt.zip", gt_img_1="0,0,9,0,9,9,0,9,EXIT")
    results = write_zip(tmp_path / "res.zip", res_img_1="0,0,0,9,9,9,9,0,EXIT")
    assert evaluate_verb.main(["--gt", gt, "--results", results]) == 1
    assert "res_img_1.txt: line 1: the corners run anticlockwise" in capsys.readouterr().err
    out = tmp_path / "out.json"
    assert evaluate_verb.main(["--gt", gt, "--results", results, "--lenient", "--json", str(out)]) == 0
    assert "repaired: " in capsys.readouterr().err
    report = json.loads(out.read_text())
    assert report["icdar2015/end_to_end"] == PERFECT
    assert len(report["repairs"]) == 1


def test_files_with_other_layouts(tmp_path, capsys):
    gt = write_zip(tmp_path / "gt.zip", gt_img_1='0, 0, 9, 9, "EXIT"')
    results = write_zip(tmp_path / "res.zip", res_img_1='0, 0, 9, 9, "EXIT"')
    options = ["--protocol", "icdar2013/end_to_end", "--gt", gt, "--results", results]
    assert evaluate_verb.main([*options, "--outlines", "box"]) == 0
    assert "1.0000  1.0000  1.0000" in capsys.readouterr().out
    assert evaluate_verb.main(options) == 1


def test_confidences_give_average_precision(tmp_path, capsys):
    gt = write_zip(tmp_path / "gt.zip", gt_img_1="0,0,9,0,9,9,0,9,EXIT")
    results = write_zip(tmp_path / "res.zip", res_img_1="0,0,9,0,9,9,0,9,0.8,EXIT\r\n50,0,59,0,59,9,50,9,0.9,SHOP")
    out = tmp_path / "out.json"
    assert evaluate_verb.main(["--gt", gt, "--results", results, "--confidences", "--json", str(out)]) == 0
    assert json.loads(out.read_text())["icdar2015/end_to_end"]["average_precision"] == 0.5
    assert "average precision 0.5000" in capsys.readouterr().out


def test_files_that_are_not_there(tmp_path, capsys):
    absent = str(tmp_path / "absent.zip")
    assert evaluate_verb.main(["--gt", absent, "--results", absent]) == 1
    assert capsys.readouterr().err == f"error: {absent}: no such zip or folder\n"


def test_a_model_against_what_it_finds_itself(weights, data, tmp_path, capsys):
    out = tmp_path / "out.json"
    assert evaluate_verb.main(["--weights", str(weights), "--data", str(data), "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report.keys() == BOTH | {"per_image", "threshold", "repairs", "language"}
    for protocol in BOTH:
        assert report[protocol] == PERFECT
        assert report["per_image"][protocol] == {f"{number}.png": PERFECT for number in range(3)}
    assert report["threshold"] == 0.6
    printed = capsys.readouterr().out
    assert "3 images, threshold 0.6000\n" in printed
    assert "the threshold was chosen by icdar2015/end_to_end on the validation images of training\n" in printed


def test_how_the_annotated_regions_are_read(weights, data, tmp_path, capsys):
    """The regions are those the spotter found: but for those cut off at the border they are read as they were then."""
    out = tmp_path / "out.json"
    options = ["--weights", str(weights), "--data", str(data), "--protocol", "recognition", "--json", str(out)]
    assert evaluate_verb.main(options) == 0
    every = json.loads(out.read_text())
    assert 0.6 < every["recognition/word_accuracy"] < 1
    assert every["recognition/one_minus_ned"] > every["recognition/word_accuracy"]
    assert "recognition/word_accuracy_case_insensitive" in capsys.readouterr().out
    assert evaluate_verb.main([*options, "--min_length", "3"]) == 0
    assert 0 < json.loads(out.read_text())["recognition/num_words"] < every["recognition/num_words"]
    assert evaluate_verb.main([*options, "--min_length", "99"]) == 1
    assert "holds no transcript of 99 characters or more" in capsys.readouterr().err


def test_thresholds_chosen_on_the_other_half(weights, data, tmp_path, capsys):
    """The very figures of training's last lines; the data set is what the spotter finds."""
    out = tmp_path / "out.json"
    options = ["--weights", str(weights), "--data", str(data), "--two_fold", "--json", str(out)]
    assert evaluate_verb.main(options) == 0
    figures = json.loads(out.read_text())
    expected = validate(textspot.load(weights), Reader(data))
    assert figures == expected.figures | {
        "best threshold by icdar2015/end_to_end": expected.threshold,
        "language": "none",
    }
    assert "icdar2015/end_to_end/hmean" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [[], ["--two_fold"], ["--protocol", "recognition"]], ids=["at once", "two-fold", "read"]
)
def test_a_language_changes_the_figures_and_is_named(weights, data, tmp_path, capsys, options):
    """The annotations are what is read without one."""
    words, figures = tmp_path / "words.txt", {}
    words.write_text("zebra\nzebu\n")
    for language in ("none", str(words)):
        out = tmp_path / "out.json"
        given = ["--weights", str(weights), "--data", str(data), "--json", str(out), "--language", language, *options]
        assert evaluate_verb.main(given) == 0
        assert f"language: {language}" in capsys.readouterr().out
        figures[language] = json.loads(out.read_text())
        assert figures[language].pop("language") == language
    assert figures["none"] != figures[str(words)]
    indifferent = ["--beam.weight", "0", "--beam.word_bonus", "0", "--beam.nonword", "1"]
    assert evaluate_verb.main([*given, *indifferent]) == 0
    assert json.loads(out.read_text()) != figures[str(words)] | {"language": str(words)}


def test_a_threshold_that_is_given(weights, data, tmp_path):
    out = tmp_path / "out.json"
    options = ["--weights", str(weights), "--data", str(data), "--json", str(out), "--threshold"]
    assert evaluate_verb.main([*options, "0.7"]) == 0
    report = json.loads(out.read_text())
    assert report["threshold"] == 0.7
    assert report["icdar2015/detection_iou"]["precision"] == 1.0
    assert 0 < report["icdar2015/detection_iou"]["recall"] < 1
    assert evaluate_verb.main([*options, "1", "--protocol", "icdar2015/word_spotting"]) == 0
    assert json.loads(out.read_text())["icdar2015/word_spotting"]["recall"] == 0


def test_a_region_that_could_not_be_read_counts_where_texts_do_not(weights, data, tmp_path, monkeypatch):
    out = tmp_path / "out.json"
    monkeypatch.setattr(
        "textspot.inference.spotter.decode_best_path", lambda logits, _charset: [("", 0.5) for _ in range(len(logits))]
    )
    assert evaluate_verb.main(["--weights", str(weights), "--data", str(data), "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["icdar2015/detection_iou"]["hmean"] == 1.0
    assert report["per_image"]["icdar2015/end_to_end"]["0.png"] == {"precision": 0.0, "recall": 0.0, "hmean": 0.0}


def test_data_without_images(weights, tmp_path, capsys):
    with Writer(tmp_path / "empty", {}):
        pass
    assert evaluate_verb.main(["--weights", str(weights), "--data", str(tmp_path / "empty")]) == 1
    assert "empty: holds no image to evaluate on" in capsys.readouterr().err


def test_weights_or_data_that_cannot_be_used(weights, data, tmp_path, capsys):
    assert evaluate_verb.main(["--weights", str(tmp_path / "no.safetensors"), "--data", str(data)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'no.safetensors'}: no such file")
    assert evaluate_verb.main(["--weights", str(weights), "--data", str(tmp_path / "no")]) == 1
    assert "no: no such data set" in capsys.readouterr().err


LINE = "0,0,40,0,40,10,0,10"


def test_the_errors_of_a_model_on_a_page(weights, data, tmp_path):
    page = tmp_path / "errors.html"
    options = ["--weights", str(weights), "--data", str(data), "--report", str(page), "--threshold", "0.7"]
    assert evaluate_verb.main([*options, "--report_width", "48"]) == 0
    html = page.read_text(encoding="utf-8")
    assert html.count("<article") == html.count('href="data:image/jpeg') == 3
    assert "score threshold 0.7000" in html
    assert '<li class="error missed">' in html
    assert evaluate_verb.main(options) == 0
    assert len(page.read_text(encoding="utf-8")) > len(html)


def test_the_errors_in_files_on_a_page(tmp_path, capsys):
    gt = write_zip(tmp_path / "gt.zip", gt_img_1=f"{LINE},EXIT", gt_img_2="")
    results = write_zip(tmp_path / "res.zip", res_img_1=f"{LINE},EX1T")
    page, images = tmp_path / "errors.html", tmp_path / "images"
    options = ["--gt", gt, "--results", results, "--report", str(page), "--images", str(images)]
    assert evaluate_verb.main(options) == 1
    images.mkdir()
    cv2.imwrite(str(images / "img_1.jpg"), noise(20, 60))
    assert evaluate_verb.main(options) == 1
    assert "images: no image '2': expected img_2.jpg or the like" in capsys.readouterr().err
    assert not page.exists()
    cv2.imwrite(str(images / "2.png"), noise(20, 60))
    assert evaluate_verb.main(options) == 0
    html = page.read_text(encoding="utf-8")
    assert html.count("<article") == 2
    assert "misread <bdi>EXIT</bdi> → <bdi>EX1T</bdi>" in html


@pytest.fixture
def coffee(tmp_path):
    """A coffee misread, an invented word, and lexicons for them."""
    gt = write_zip(tmp_path / "gt.zip", gt_img_1=f"{LINE},COFFEE")
    results = write_zip(tmp_path / "res.zip", res_img_1=f"{LINE},C0FFEE\n0,50,40,50,40,60,0,60,xyzzy")
    (tmp_path / "vocabulary.txt").write_text("COFFEE\n")
    (tmp_path / "strong").mkdir()
    (tmp_path / "strong" / "voc_img_1.txt").write_text("COFFEE\n")
    return ["--protocol", "icdar2015/end_to_end", "--gt", gt, "--results", results]


@pytest.mark.parametrize(
    ("lexicon", "name", "figures"),
    [
        ("strong", [], ("strong", 1.0)),
        ("strong", ["--lexicon_name", "mine"], ("mine", 1.0)),
        ("vocabulary.txt", [], ("vocabulary", 2 / 3)),
        ("vocabulary.txt", ["--lexicon_name", "generic"], ("generic", 2 / 3)),
        ("vocabulary.txt", ["--lexicon_name", "weak"], ("weak", 1.0)),  # complete: no word is like xyzzy
    ],
)
def test_lexicons_and_their_names(coffee, tmp_path, lexicon, name, figures):
    out = tmp_path / "out.json"
    assert evaluate_verb.main([*coffee, "--lexicon", str(tmp_path / lexicon), *name, "--json", str(out)]) == 0
    called, hmean = figures
    assert json.loads(out.read_text())[f"icdar2015/end_to_end/{called}"]["hmean"] == pytest.approx(hmean)


def test_lexicons_that_cannot_be_used(coffee, tmp_path, capsys):
    assert evaluate_verb.main([*coffee, "--lexicon", str(tmp_path / "absent.txt")]) == 1
    assert "absent.txt" in capsys.readouterr().err
    (tmp_path / "strong" / "voc_img_1.txt").rename(tmp_path / "strong" / "voc_img_2.txt")
    assert evaluate_verb.main([*coffee, "--lexicon", str(tmp_path / "strong")]) == 1
    assert capsys.readouterr().err == "error: no strong lexicon for image '1'; expected a file voc_img_1.txt\n"


def test_a_lexicon_of_a_model(weights, data, tmp_path):
    out, words = tmp_path / "out.json", tmp_path / "words.txt"
    words.write_text("SOMETHING\n")
    options = ["--weights", str(weights), "--data", str(data), "--lexicon", str(words), "--json", str(out)]
    assert evaluate_verb.main([*options, "--lexicon_name", "full"]) == 0
    report = json.loads(out.read_text())
    found = report["icdar2015/detection_iou/full"]
    assert 0.2 < found["recall"] < 0.8  # what is long enough for a word is none of it, and so no text
    assert report["icdar2015/end_to_end/full"]["recall"] <= found["recall"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--images", "folder"], "give --report and --images, both or neither"),
        (["--report", "errors.html"], "give --report and --images, both or neither"),
        (["--lexicon_name", "strong"], "--lexicon_name goes with --lexicon: give that too"),
        (["--report_width", "0"], "report_width"),
        (["--min_length", "3"], "--min_length goes with --protocol recognition"),
        (["--gt", "gt.zip", "--results", "res.zip", "--language", "english"], "--language goes with --weights"),
        (["--gt", "gt.zip", "--results", "res.zip", "--beam.word_bonus", "1"], "--beam.word_bonus goes with --weights"),
        (["--two_fold", "--threshold", "0.5"], "--two_fold has no use for --threshold"),
        (["--language", "none", "--beam.word_bonus", "1"], "--language none has no use for --beam.word_bonus"),
        (["--protocol", "recognition", "--min_length", "1"], "--protocol recognition has no use for --gt"),
        (["--threshold", "0.5"], "--threshold goes with --weights"),
        (["--protocol", "icdar2015/end_to_end", "ic13"], "'ic13'"),
        (["--protocol", "recognition", "icdar2015/end_to_end"], "--protocol recognition has no use for --gt"),
    ],
)
def test_options_that_lack_another(options, words, capsys):
    with pytest.raises(SystemExit) as caught:
        evaluate_verb.main([*FILES, *options])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--gt", "gt.zip"],
        ["--weights", "model.safetensors"],
        ["--weights", "model.safetensors", "--data", "data", "--gt", "gt.zip"],
    ],
    ids=" ".join,
)
def test_options_that_do_not_belong_together(options, capsys):
    with pytest.raises(SystemExit) as caught:
        evaluate_verb.main(options)
    assert caught.value.code == 2
    assert "give --weights and --data to score a model, or --gt and --results" in capsys.readouterr().err


def test_an_unknown_protocol(capsys):
    with pytest.raises(SystemExit) as caught:
        evaluate_verb.main(["--protocol", "icdar1999", *FILES])
    assert caught.value.code == 2
    assert "'icdar1999'" in capsys.readouterr().err


def test_the_annotated_regions_are_read_in_a_call_of_its_own(capsys):
    options = ["--weights", "w", "--data", "d", "--protocol", "recognition", "icdar2015/end_to_end"]
    with pytest.raises(SystemExit):
        evaluate_verb.main(options)
    assert "--protocol recognition stands alone" in capsys.readouterr().err
