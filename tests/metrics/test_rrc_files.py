import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textspot.geometry import box_to_quad
from textspot.metrics import RrcFormatError, read_ground_truths, read_results, write_result
from textspot.structures import Prediction, TextInstance

LINE = "0,0,20,0,20,10,0,10"
ANTICLOCKWISE = "0,0,0,10,20,10,20,0"


@pytest.fixture
def write_zip(tmp_path):
    def write(name, files):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file_name, content in files.items():
                archive.writestr(file_name, content)
        return tmp_path / name

    return write


def test_an_empty_file_is_an_image_without_words(write_zip):
    ground_truths, repairs = read_ground_truths(write_zip("gt.zip", {"gt_img_1.txt": b"", "gt_img_2.txt": b"\r\n"}))
    assert repairs == []
    assert {name: len(truth.polygons) for name, truth in ground_truths.items()} == {"1": 0, "2": 0}
    assert ground_truths["1"].ignore.dtype == bool


def test_bom_line_ends_commas_quotes_and_spaces(write_zip):
    content = f'\ufeff{LINE},a,b\r\n\n {LINE.replace(",", " , ")}, c \n{LINE},###\n{LINE},"say \\"x\\", \\\\"\n{LINE},'
    ground_truths, _ = read_ground_truths(write_zip("gt.zip", {"gt_img_1.txt": content.encode(), "readme.md": "x"}))
    truth = ground_truths["1"]
    assert truth.transcripts == ["a,b", " c ", "###", 'say "x", \\', ""]
    assert truth.ignore.tolist() == [False, False, True, False, False]
    assert truth.name == "1"
    for polygon in truth.polygons:
        assert polygon.tolist() == [[0, 0], [20, 0], [20, 10], [0, 10]]


def test_odd_separators_stay_in_the_transcript(write_zip):
    ground_truths, _ = read_ground_truths(write_zip("gt.zip", {"gt_img_1.txt": f"{LINE},a\x0b\u2028b".encode()}))
    assert ground_truths["1"].transcripts == ["a\x0b\u2028b"]


def test_a_folder_reads_like_a_zip(tmp_path):
    (tmp_path / "gt_shop.txt").write_text(f"{LINE},a")
    assert list(read_ground_truths(tmp_path)[0]) == ["shop"]


def test_a_missing_result_counts_as_no_detection(write_zip):
    predictions, _ = read_results(write_zip("res.zip", {"res_img_2.txt": f"{LINE},a"}), ["1", "2"])
    assert {name: len(prediction) for name, prediction in predictions.items()} == {"1": 0, "2": 1}


FAULTS = {
    "res_img_1.txt": f"{LINE},a\n1,2,3,4,5,a\n{ANTICLOCKWISE},b\n0.4,0,20,0,20,10,0,9.6,c\n{LINE}",
    "res_img_9.txt": f"{LINE},a",
    "notes.md": "x",
    "__MACOSX/": "",
    "inner/res_img_2.txt": f"{LINE},d",
    "res_img_3.txt": f"{LINE},a\n{LINE},".encode() + b"caf\xe9",
}


def test_all_faults_are_raised_at_once(write_zip):
    path = write_zip("res.zip", FAULTS)
    with pytest.raises(RrcFormatError, match=r"res\.zip: 9 fault\(s\)") as caught:
        read_results(path, ["1", "2", "3"])
    assert caught.value.faults == [
        "res_img_1.txt: line 2: expected x1,y1,x2,y2,x3,y3,x4,y4,transcript, found '1,2,3,4,5,a'; "
        "correct the line, or choose another layout",
        "res_img_1.txt: line 4: coordinates that are not whole numbers; round them",
        "res_img_1.txt: line 5: no transcript; add it after the coordinates",
        "res_img_1.txt: line 3: the corners run anticlockwise; list them clockwise as seen (y points down)",
        "res_img_9.txt: no such image in the ground truth; remove it or name it res_img_<number>.txt",
        "notes.md: no such image in the ground truth; remove it or name it res_img_<number>.txt",
        "__MACOSX/: no such image in the ground truth; remove it or name it res_img_<number>.txt",
        "inner/res_img_2.txt: lies in a folder; put it at the top of the zip",
        "res_img_3.txt: line 2: not UTF-8; save the file as UTF-8",
    ]


def test_lenient_repairs_and_reports_the_same_faults(write_zip):
    predictions, repairs = read_results(write_zip("res.zip", FAULTS), ["1", "2", "3"], lenient=True)
    assert [repair.rsplit("; ", 1)[1] for repair in repairs] == [
        "left out",
        "rounded",
        "read as an empty text",
        "reversed",
        "left out",
        "left out",
        "left out",
        "read as res_img_2.txt",
        "unreadable bytes became \ufffd",
    ]
    assert [instance.text for instance in predictions["1"]] == ["a", "b", "c", ""]
    assert predictions["1"][1].polygon.tolist() == [[0, 0], [20, 0], [20, 10], [0, 10]]
    assert predictions["1"][2].polygon.tolist() == [[0, 0], [20, 0], [20, 10], [0, 10]]
    assert [instance.text for instance in predictions["2"]] == ["d"]
    assert [instance.text for instance in predictions["3"]] == ["a", "caf\ufffd"]


def test_faults_of_the_ground_truth_are_named_too(write_zip):
    path = write_zip("gt.zip", {"gt_img_1.txt": LINE})
    with pytest.raises(RrcFormatError, match=r"gt_img_1.txt: line 1: no transcript"):
        read_ground_truths(path)
    ground_truths, repairs = read_ground_truths(path, lenient=True)
    assert ground_truths["1"].transcripts == [""]
    assert repairs == ["gt_img_1.txt: line 1: no transcript; read as an empty text"]


def test_wrong_paths(tmp_path, write_zip):
    with pytest.raises(FileNotFoundError, match="no such zip or folder"):
        read_ground_truths(tmp_path / "absent.zip")
    (tmp_path / "page.zip").write_text("<html>")
    with pytest.raises(RrcFormatError, match="neither a folder nor a zip archive"):
        read_ground_truths(tmp_path / "page.zip")
    with pytest.raises(RrcFormatError, match=r"no file is named gt_img_<number>\.txt"):
        read_ground_truths(write_zip("res.zip", {"res_img_1.txt": ""}))


def test_two_files_for_one_image(write_zip):
    path = write_zip("gt.zip", {"gt_1.txt": f"{LINE},####a", "gt_img_1.txt": f"{LINE},####b"})
    with pytest.raises(RrcFormatError, match=r"gt_img_1\.txt: a second file for image '1'; keep one"):
        read_ground_truths(path, layout="polygon")
    assert read_ground_truths(path, lenient=True, layout="polygon")[0]["1"].transcripts == ["b"]
    path = write_zip("res.zip", {"res_1.txt": f"{LINE},####a", "1.txt": f"{LINE},####b"})
    with pytest.raises(RrcFormatError, match="a second file for image '1'"):
        read_results(path, ["1"], layout="polygon")


def test_names_of_images(write_zip):
    files = ["gt_img_1.txt", "gt_img_02.txt", "gt_shop.txt", "gt_img_shop.txt", "gt_a 7.txt", "gt_3.txt", "img_4.txt"]
    ground_truths, _ = read_ground_truths(write_zip("gt.zip", dict.fromkeys(files, "")))
    assert list(ground_truths) == ["1", "02", "shop", "img_shop", "a 7"]
    with pytest.raises(RrcFormatError) as caught:
        read_results(
            write_zip("res.zip", dict.fromkeys(["res_img_1.txt", "res_1.txt", "res_img_2.txt"], "")), ["1", "02"]
        )
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["res_1.txt", "res_img_2.txt"]


def test_the_error_survives_pickling(write_zip):
    with pytest.raises(RrcFormatError) as caught:
        read_ground_truths(write_zip("gt.zip", {"gt_img_1.txt": LINE}))
    back = pickle.loads(pickle.dumps(caught.value))
    assert (str(back), back.faults) == (str(caught.value), caught.value.faults)


def test_boxes(write_zip):
    path = write_zip("gt.zip", {"gt_img_1.txt": '1,2,30,40,"a, b"\n30,2,1,40,c\n1,2,3,d'})
    with pytest.raises(RrcFormatError) as caught:
        read_ground_truths(path, layout="box")
    assert caught.value.faults == [
        "gt_img_1.txt: line 3: expected left,top,right,bottom,transcript, found '1,2,3,d'; "
        "correct the line, or choose another layout",
        "gt_img_1.txt: line 2: the right or bottom edge lies before the left or top one; write left,top,right,bottom",
    ]
    truth = read_ground_truths(path, lenient=True, layout="box")[0]["1"]
    assert truth.transcripts == ["a, b", "c"]
    for polygon in truth.polygons:
        assert polygon.tolist() == [[1, 2], [30, 2], [30, 40], [1, 40]]


def test_polygons(write_zip):
    bent = "0,0,10,2,20,0,20,10,10,12,0,10"
    files = {"0000001.txt": f"{bent},####a,b\n0,0,9,0,9,9,####c\n{ANTICLOCKWISE},####d", "gt_2.txt": ""}
    with pytest.raises(RrcFormatError, match=r"1 fault.*\n.*line 3: the corners run anticlockwise"):
        read_ground_truths(write_zip("gt.zip", files), layout="polygon")
    truths, _ = read_ground_truths(write_zip("gt.zip", files), lenient=True, layout="polygon")
    assert list(truths) == ["0000001", "2"]
    assert truths["0000001"].transcripts == ["a,b", "c", "d"]
    assert [len(polygon) for polygon in truths["0000001"].polygons] == [6, 3, 4]
    assert truths["0000001"].polygons[0].ravel().tolist() == [int(value) for value in bent.split(",")]
    assert truths["0000001"].polygons[2].tolist() == [[0, 0], [20, 0], [20, 10], [0, 10]]


def test_confidences_are_scores_and_sort(write_zip):
    path = write_zip("res.zip", {"res_img_1.txt": f"{LINE},0.25,a\n{LINE},1,b,c\n{LINE}, 0.5 ,0.75"})
    predictions, _ = read_results(path, ["1"], confidences=True)
    assert [(i.score, i.text) for i in predictions["1"]] == [(1, "b,c"), (0.5, "0.75"), (0.25, "a")]
    with pytest.raises(RrcFormatError, match="line 1: expected"):
        read_results(write_zip("res.zip", {"res_img_1.txt": f"{LINE},1.5,a"}), ["1"], confidences=True)


def test_an_unknown_layout(tmp_path):
    with pytest.raises(ValueError, match="unknown layout 'ltrb'; choose one of quad, box, polygon"):
        read_ground_truths(tmp_path, layout="ltrb")


def instance(polygon, text):
    return TextInstance(np.asarray(polygon, dtype=np.float32), text, 0.9)


@settings(max_examples=100, deadline=None)
@given(text=st.one_of(st.text(alphabet='a,\\" \u00e9#', max_size=8), st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_written_text_is_read_back(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("results")
    prediction = Prediction((instance(box_to_quad([0, 0, 20, 10]), text),), (20, 30), "1")
    write_result(folder / "res_img_1.txt", prediction)
    (back,) = read_results(folder, ["1"])[0]["1"]
    assert back.text == "".join(" " if part in "\r\n" else part for part in _split_line_ends(text))
    assert back.polygon.tolist() == prediction[0].polygon.tolist()


def _split_line_ends(text):
    """The characters of a text, each run of line ends as one."""
    return [c for n, c in enumerate(text) if c not in "\r\n" or n == 0 or text[n - 1] not in "\r\n"]


def test_written_polygons_are_clockwise_quads_of_integers(tmp_path):
    bent = [[0, 0], [10, 0.2], [20, 0], [20, 10], [10, 10], [0, 10]]
    thin = [[0, 0.4], [20, 0.6], [20, 1.4], [0, 0.5]]  # anticlockwise after rounding
    write_result(tmp_path / "res_img_1.txt", Prediction((instance(bent, "a"), instance(thin, "b")), (20, 30)))
    predictions, _ = read_results(tmp_path, ["1"])
    assert [len(i.polygon) for i in predictions["1"]] == [4, 4]
    assert predictions["1"][0].polygon.tolist() == [[0, 0], [20, 0], [20, 10], [0, 10]]


def test_nothing_found_writes_an_empty_file(tmp_path):
    write_result(tmp_path / "res_img_1.txt", Prediction((), (20, 30)))
    assert (tmp_path / "res_img_1.txt").read_bytes() == b""
