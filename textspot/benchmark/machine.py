"""What a time depends on besides the program: the machine, its clocks, the versions, and what else it did meanwhile."""

import importlib.metadata
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

FLAGS = (  # of the CPU: what decides how fast the arithmetic of a network is
    *("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve"),
)
PACKAGES = ("textspot", "numpy", "opencv-python-headless", "torch", "onnxruntime", "openvino")
PROC = Path("/proc")


def record_machine() -> dict[str, Any]:
    """The CPU, its flags that matter, clocks, cores, memory, operating system and versions, as JSON keeps them."""
    fields = _read_cpuinfo(PROC / "cpuinfo")
    flags = set(fields.get("flags", fields.get("Features", [""]))[0].split())
    clocks = [float(value) for value in fields.get("cpu MHz", [])]
    return {
        "cpu": fields.get("model name", [platform.processor() or platform.machine()])[0],
        "flags": [flag for flag in FLAGS if flag in flags],
        "cpus": os.cpu_count(),
        "cores": len(set(zip(fields.get("physical id", []), fields.get("core id", []), strict=False))) or None,
        "clock_mhz": [min(clocks), max(clocks)] if clocks else None,
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _find_version(name))},
        "gpu": _describe_gpu(),
    }


def _read_cpuinfo(file: Path) -> dict[str, list[str]]:
    """The values of each field, one for every CPU; nothing where there is no such file."""
    fields: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), []).append(value.strip())
    return fields


def _find_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _describe_gpu() -> str | None:
    """Name, driver and clocks (now, highest) of the first NVIDIA GPU as `nvidia-smi` says them."""
    query = "--query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,clocks.max.mem"
    command = ["nvidia-smi", query, "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.splitlines()[0]


def busy_cpus(seconds: float = 1.0) -> float | None:
    """CPUs that other work keeps busy while this process sleeps; None where the system does not say."""
    before = _read_ticks()
    time.sleep(seconds)
    after = _read_ticks()
    if before is None or after is None:
        return None
    busy, total = after[0] - before[0], after[1] - before[1]
    return round((os.cpu_count() or 1) * busy / total, 2) if total else 0.0


def _read_ticks() -> tuple[int, int] | None:
    """Ticks that all CPUs were busy, and all ticks, since the start of the machine."""
    file = PROC / "stat"
    if not file.exists():
        return None
    ticks = [int(value) for value in file.read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)  # the fourth and fifth are idle, alone and for a disk


def memory_bytes(field: str, pid: int | str = "self") -> int | None:
    """Memory of a process: `VmRSS` what it has now, `VmHWM` the most it had. None where the system does not say.

    Not `getrusage`: its peak begins with that of the process that started this one.
    """
    file = PROC / str(pid) / "status"
    if not file.exists():
        return None
    values = dict(line.split(":", 1) for line in file.read_text(encoding="utf-8").splitlines())
    return int(values[field].split()[0]) * 1024 if field in values else None
