"""Bulk reading by Ray from an S3 server: whoever is killed, the rows are those of a run that nobody disturbed."""

import os
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from measure_bulk import Setting, fill, run_with_kills
from s3_server import s3_server
from s3fs import S3FileSystem
from tiny_spotter import save_tiny_spotter

from textspot.bulk.folder import read_rows
from textspot.bulk.run import PartReader
from textspot.bulk.settings import BulkSettings
from textspot.cli import bulk
from textspot.cli.bulk import BulkOptions, open_run
from textspot.data.synthetic.renderer import RendererConfig

SMALL = RendererConfig(64, 96, words_per_image=(1, 2), min_text_height=8, max_text_height=12)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers as Linux lists them"),
]


def test_a_killed_driver_and_a_killed_worker_change_no_row(tmp_path, capsys):
    weights = str(save_tiny_spotter(tmp_path / "model.safetensors"))
    setting = Setting(weights, images_per_part=2)
    with s3_server() as bucket:
        source, out, whole = (f"{bucket}/{name}" for name in ("photos", "killed", "whole"))
        fill(source, 101, SMALL)
        run_with_kills(setting.command(source, out, actors=1), out, num_parts=51)
        read_undisturbed(BulkOptions(source=source, out=whole, weights=weights, images_per_part=2))
        assert list(read_rows(out)) == list(read_rows(whole))
        assert [row["id"] for row in read_rows(out)] == [f"{number:08d}.jpg" for number in range(101)]

        arguments = ["--source", source, "--out", out, "--images_per_part", "2", "--weights"]
        assert bulk.main([*arguments, weights]) == 1
        assert "101 of 101 images, 1 not read" in capsys.readouterr().out
        assert bulk.main([*arguments, weights, "--threshold", "0.5"]) == 1
        assert "was begun with other settings: threshold was None, is 0.5" in capsys.readouterr().err


def test_a_store_that_refuses_or_does_not_answer_is_named(tmp_path, monkeypatch, capsys):
    weights = str(save_tiny_spotter(tmp_path / "model.safetensors"))
    monkeypatch.setattr("textspot.stores.PAUSES_S", ())
    with s3_server() as bucket:
        command = ["--source", f"{bucket}/photos", "--out", str(tmp_path / "out"), "--weights", weights]
        assert bulk.main(command) == 1
        assert "no image there" in capsys.readouterr().err
        ask_for_credentials = f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/reset-auth"
        request = urllib.request.Request(ask_for_credentials, data=b"0", headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(request).close()
        assert bulk.main(command) == 1
        assert "the store refuses the credentials (InvalidAccessKeyId" in capsys.readouterr().err
        S3FileSystem.clear_instance_cache()  # else the client that knows the server is taken
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            assert bulk.main(command) == 1
        assert "the store does not answer (EndpointConnectionError" in capsys.readouterr().err
    S3FileSystem.clear_instance_cache()


def read_undisturbed(options: BulkOptions) -> None:
    """All parts one after the other, without Ray."""
    settings = BulkSettings(weights=options.weights)
    run = open_run(options, settings)
    PartReader(run, settings)({"part": np.arange(run.num_parts)})
