import json
from pathlib import Path

import pytest

from textspot.engine.log import LOG_FILE, RunLog


def write_log(folder: Path, first_step: int, steps: range) -> None:
    log = RunLog(folder, first_step, 10, quiet=True)
    with log.open():
        for step in steps:
            log.event("train", step, {"loss": step / 2})


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    write_log(tmp_path, 0, range(1, 7))
    with open(tmp_path / LOG_FILE, "a", encoding="utf-8") as file:
        file.write('{"event": "train", "st')  # a kill cut this line short
    write_log(tmp_path, 4, range(5, 8))
    events = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [event["step"] for event in events] == [1, 2, 3, 4, 5, 6, 7]
    assert events[0] == {"event": "train", "step": 1, "loss": 0.5}


def test_lines_are_printed_where_there_is_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        log = RunLog(tmp_path / str(quiet), 0, 10, quiet)
        with log.open():
            log.training(10, {"det/score": 0.25, "dropped/no transcript": 3})
            log.say("done [so far]")
    printed = capsys.readouterr().out
    assert printed == "step 10/10  det/score 0.25\ndone [so far]\n"
