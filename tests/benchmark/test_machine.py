import json
import subprocess
import sys

import pytest

from textspot.benchmark import machine
from textspot.benchmark.machine import busy_cpus, memory_bytes, record_machine

CPUINFO = """processor\t: 0
model name\t: Fast CPU 9000
cpu MHz\t\t: 2400.5
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu avx2 avx512_vnni amx_tile

processor\t: 1
model name\t: Fast CPU 9000
cpu MHz\t\t: 3100.0
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu avx2 avx512_vnni amx_tile
"""


@pytest.fixture
def proc(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "PROC", tmp_path)
    return tmp_path


def test_the_cpu_and_what_matters_of_it(proc):
    (proc / "cpuinfo").write_text(CPUINFO)
    record = record_machine()
    assert record["cpu"] == "Fast CPU 9000"
    assert record["flags"] == ["avx2", "avx512_vnni", "amx_tile"]
    assert record["clock_mhz"] == [2400.5, 3100.0]
    assert record["cores"] == 1


@pytest.mark.usefixtures("proc")
def test_a_system_without_proc():
    record = record_machine()
    assert record["cpu"]
    assert (record["flags"], record["clock_mhz"], record["cores"]) == ([], None, None)
    assert busy_cpus(0) is None
    assert memory_bytes("VmRSS") is None


def test_this_machine_as_json():
    record = record_machine()
    assert json.loads(json.dumps(record)) == record
    assert {"textspot", "numpy", "torch"} <= record["versions"].keys()


def test_busy_cpus_of_ticks(proc, monkeypatch):
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 4)
    (proc / "stat").write_text("cpu 100 0 100 700 100 0 0 0 0 0\n")

    def sleep(_seconds):  # 200 ticks pass, half of them idle or waiting for a disk
        (proc / "stat").write_text("cpu 180 0 110 780 120 5 5 0 0 0\n")

    monkeypatch.setattr(machine.time, "sleep", sleep)
    assert busy_cpus() == 2.0


@pytest.mark.skipif(not machine.PROC.joinpath("self/status").exists(), reason="this system has no /proc/self/status")
def test_memory_of_a_process():
    block = bytearray(64 * 2**20)
    assert memory_bytes("VmHWM") >= memory_bytes("VmRSS") > len(block)
    code = "from textspot.benchmark.machine import memory_bytes; print(memory_bytes('VmHWM'))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(child.stdout) < 2**30
    assert memory_bytes("VmNothing") is None
