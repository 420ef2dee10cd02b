"""The command line of quantisation; what it does is tested where it is done."""

from pathlib import Path

import pytest
from tiny_spotter import VIT_RECIPE, build_tiny_card, build_tiny_network

import textspot
from textspot.checkpoint import save_model
from textspot.cli import quantize as quantize_verb


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """With a transformer for a trunk."""
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    save_model(path, build_tiny_network(VIT_RECIPE).state_dict(), build_tiny_card(VIT_RECIPE))
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give either --calibration or --data_free"),
        (["--data_free", "noise", "--calibration", "data"], "give either --calibration or --data_free"),
        (["--data_free", "noise", "--beside", "other"], "--beside goes with --evaluate_on: give that too"),
        (["--data_free", "noise", "--max_drop", "1"], "--max_drop goes with --evaluate_on"),
        (["--data_free", "noise", "--runtime", "onnxruntime"], "--runtime goes with --evaluate_on"),
        (["--data_free", "noise", "--precision", "float32"], "--precision goes with --evaluate_on"),
        (["--data_free", "nothing"], "data_free"),
        (["--calibration", "data", "--datafree.seed", "0"], "--datafree.seed goes with --data_free"),
        (["--data_free", "noise", "--datafree.steps", "9"], "--datafree.steps goes with --data_free network"),
        (["--data_free", "noise", "--num_images", "64"], "--num_images goes with --calibration"),
        (["--data_free", "noise", "--rounds", "5"], "--rounds goes with --engines"),
        (["--bits", "w4a8", "--quant.layer.weight.bits", "8"], "--bits has no use for --quant.layer.weight.bits"),
        (["--quant.layer.smoothing.kind", "none"], "--methods has no use for --quant.layer.smoothing.kind"),
    ],
)
def test_what_does_not_go_together(weights, tmp_path, capsys, options, message):
    with pytest.raises(SystemExit):
        quantize_verb.main(["--weights", str(weights), "--out", str(tmp_path), *options])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("older", [["--judge", "a", "b"], ["--config", "older.yaml"]])
def test_the_older_name_of_an_option(tmp_path, monkeypatch, capsys, older):
    monkeypatch.chdir(tmp_path)
    Path("older.yaml").write_text("judge: [a, b]\n")
    given = ["--weights", "w", "--out", "o", "--data_free", "noise", "--runtime", "openvino"]
    assert quantize_verb.VERB.read([*given, *older]).evaluate_on == (Path("a"), Path("b"))
    with pytest.raises(SystemExit):
        quantize_verb.main(["--help"])
    assert "judge" not in capsys.readouterr().out


@pytest.mark.slow
def test_without_data_from_weights_to_a_file_that_reads(weights, tmp_path, capsys):
    small = ["--datafree.size=[64,96]", "--datafree.num_images=2", "--datafree.steps=2"]
    words = ["--datafree.words.words=[1,2]", "--datafree.words.length=[1,3]", "--datafree.words.height=[10,20]"]
    call = ["--weights", str(weights), "--out", str(tmp_path), *small, *words]
    assert quantize_verb.main([*call, "--data_free", "network"]) == 0
    page = (tmp_path / "quantized.md").read_text()
    assert page.strip() in capsys.readouterr().out
    for term in ("layout", "transcripts", "statistics", "attention", "variation", "minutes"):
        assert term in page
    assert {"images.pt", "images.png", "rtn-w8a8.safetensors", "rtn-w8a8.onnx"} <= {
        one.name for one in tmp_path.iterdir()
    }
    assert textspot.load(tmp_path / "rtn-w8a8.safetensors").card.threshold == build_tiny_card().threshold
    assert quantize_verb.main([*call, "--data_free", "network"]) == 0
    assert "rtn-w8a8: measured before" in capsys.readouterr().err
    assert quantize_verb.main([*call, "--data_free", "network", "--datafree.seed", "1"]) == 1
    assert "begun with other seed" in capsys.readouterr().err
