"""A benchmark's report as Markdown, and two of them side by side."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from textspot.benchmark.measure import FORMAT, Report
from textspot.benchmark.stages import STAGES
from textspot.benchmark.timing import Ratio, Timing, ratio_apart

Results = Mapping[str, dict[str, Any]]
Rows = list[list[str]]

TOTAL = "total"
CELL = ("pixels", "images", "regions")


def load_report(path: Path) -> Report:
    """The report in a JSON file; what is none is a ValueError."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a report of textspot benchmark ({error})") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise ValueError(f"{path}: not a report of textspot benchmark: expected its format to be {FORMAT!r}")
    return report


def to_markdown(report: Report) -> str:
    """The report as a page of tables; a table of what was not measured is left out."""
    systems, peers = report["systems"], report["peers"]
    sections = {
        "From file to text, one image": tabulate(_total_rows({**systems, **peers})),
        "Other programs: how many times as long they take": tabulate(_ratio_rows(systems, peers)),
        "Stage by stage, p50 (p90) in ms": tabulate(_stage_rows(systems)),
        "Throughput, images per second by batch size": tabulate(_throughput_rows(systems)),
        "The network alone": tabulate(_cell_rows(systems)),
        "Fresh processes, start-up and memory": tabulate(_start_rows(systems)),
        "Left out": "".join(f"- {words}\n" for words in report.get("left_out", [])),
    }
    body = "".join(f"\n## {title}\n\n{text}" for title, text in sections.items() if text)
    return f"# Benchmark\n\n{describe_circumstances(report)}{body}"


def tabulate(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the first of which is the head, as a Markdown table; nothing without a second row."""
    if len(rows) < 2:
        return ""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def describe_circumstances(report: Report) -> str:
    """What the times depend on, as a list."""
    machine = report["machine"]
    sizes = ", ".join(f"{count} of {size}" for size, count in report["images"]["sizes"].items())
    busy = ["unknown" if value is None else f"{value:.2f}" for value in report["busy_cpus"]]
    clock = "unknown" if machine["clock_mhz"] is None else " to ".join(f"{mhz:.0f}" for mhz in machine["clock_mhz"])
    lines = [
        f"{machine['cpu']}, {machine['cpus']} CPUs at {clock} MHz, {' '.join(machine['flags'])}",
        f"kept busy by other work before and after: {busy[0]} and {busy[1]} CPUs",
        f"{machine['system']}, Python {machine['python']}, "
        + ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        f"{report['images']['count']} images, {report['rounds']} rounds, pixels (height x width): {sizes}",
    ]
    lines += [f"GPU: {machine['gpu']}"] if machine["gpu"] else []
    lines += [_describe_system(name, system) for name, system in report["systems"].items()]
    return "".join(f"- {line}\n" for line in lines)


def _describe_system(name: str, system: dict[str, Any]) -> str:
    runs, is_stable = system["warm_up"]
    warm = f"stable after {runs} runs" if is_stable else f"NOT stable after {runs} runs"
    size = f"{system['file_bytes'] / 1e6:.1f} MB"
    parameters = f", {system['parameters'] / 1e6:.2f} M parameters" if "parameters" in system else ""
    return f"{name}: {system['weights']}, {size}{parameters}, {system['num_threads']} threads, {warm}"


def _total_rows(results: Results) -> Rows:
    protocols = list(dict.fromkeys(protocol for one in results.values() for protocol in one["hmean"]))
    rows = [["", "p50 ms", "p90", "p99", "mean", "p50 of rounds", "words", *(f"{name} hmean" for name in protocols)]]
    for name, one in results.items():
        timing = Timing.from_dict(one["times"][TOTAL])
        times = [timing.p50_ms, timing.p90_ms, timing.p99_ms, timing.mean_ms]
        rounds = f"{min(timing.rounds_ms):.1f} to {max(timing.rounds_ms):.1f}"
        figures = [f"{one['hmean'][protocol]:.4f}" for protocol in protocols]
        rows.append([name, *(f"{ms:.1f}" for ms in times), rounds, f"{one['words']:g}", *figures])
    return rows


def _ratio_rows(systems: Results, peers: Results) -> Rows:
    rows = [["", *systems, "peak MiB of the peer"]]
    for name, peer in peers.items():
        rows.append([name, *(str(Ratio(*peer["ratios"][system])) for system in systems), _mib(peer["peak_bytes"])])
    return rows


def _stage_rows(systems: Results) -> Rows:
    times = {name: {what: Timing.from_dict(t) for what, t in one["times"].items()} for name, one in systems.items()}
    rows = [["", *systems]]
    for stage in STAGES:
        if any(stage in of_system for of_system in times.values()):
            found = [of_system.get(stage) for of_system in times.values()]
            rows.append([stage, *(f"{t.p50_ms:.2f} ({t.p90_ms:.2f})" if t else "" for t in found)])
    shares = [
        sum(timing.mean_ms for what, timing in of_system.items() if what != TOTAL) / of_system[TOTAL].mean_ms
        for of_system in times.values()
    ]
    return [*rows, ["sum of the means / mean total", *(f"{share:.2f}" for share in shares)]]


def _throughput_rows(systems: Results) -> Rows:
    sizes = list(dict.fromkeys(size for one in systems.values() for size in one.get("throughput", {})))
    rows = [["", *sizes]]
    for name, one in systems.items() if sizes else ():
        rows.append([name, *(f"{1000 / one['throughput'][size]['p50_ms']:.2f}" for size in sizes)])
    return rows


def _cell_rows(systems: Results) -> Rows:
    """GMAC are multiplications in thousand millions; the shares are of what the device does at most."""
    rows = [["", *CELL, "p50 ms", "p90", "CTC ms", "GMAC", "GMAC/s", "of matrix peak", "of copy peak"]]
    for name, one in systems.items():
        for cell in one.get("cells", ()):
            network, decoding = (Timing.from_dict(cell["times"][what]) for what in ("network", "CTC decoding"))
            times = [f"{network.p50_ms:.1f}", f"{network.p90_ms:.1f}", f"{decoding.p50_ms:.2f}"]
            rows.append([name, *_describe_cell(cell), *times, *_utilisation(cell, one.get("ceilings"), network)])
    return rows


def _describe_cell(cell: dict[str, Any]) -> list[str]:
    """The columns `CELL`."""
    wanted, found = cell["num_regions"], cell.get("num_found", cell["num_regions"])  # older files hold none
    words = str(wanted) if found == wanted else f"{wanted}, {found} found"
    return [" x ".join(map(str, cell["size"])), str(cell["num_images"]), words]


def _utilisation(cell: dict[str, Any], ceilings: dict[str, float] | None, network: Timing) -> list[str]:
    if "multiplications" not in cell or ceilings is None:
        return [""] * 4
    seconds = median(cell["device_s"]) if "device_s" in cell else network.p50_ms / 1000
    multiplications, num_bytes = sum(cell["multiplications"].values()), sum(cell["bytes"].values())
    return [
        f"{multiplications / 1e9:.2f}",
        f"{multiplications / seconds / 1e9:.1f}",
        f"{multiplications / seconds / ceilings['multiplications_per_s']:.0%}",
        f"{num_bytes / seconds / ceilings['bytes_per_s']:.0%}",
    ]


def _start_rows(systems: Results) -> Rows:
    started = {name: one["cold_starts"] for name, one in systems.items() if one.get("cold_starts")}
    sizes = list(dict.fromkeys(size for starts in started.values() for size in starts[0]["peak_bytes"]))
    rows = [["", "import s", "load s", "first image s", "in all s", *(f"peak MiB, {_name(size)}" for size in sizes)]]
    for name, starts in started.items():
        seconds = [median(start[key] for start in starts) for key in ("import_s", "load_s", "first_image_s", "total_s")]
        peaks = [_mib(starts[0]["peak_bytes"][size]) for size in sizes]
        rows.append([name, *(f"{value:.2f}" for value in seconds), *peaks])
    return rows


def _name(size: str) -> str:
    return f"batch {size}" if size.isdigit() else size


def _mib(num_bytes: int | None) -> str:
    return "unknown" if num_bytes is None else f"{num_bytes / 2**20:.0f}"


def compare(first: Report, second: Report) -> str:
    """How many times as long the second took, thing by thing, as Markdown; first what else differs between the two.

    Systems and peers are held against those of the same name; when no name is common, in their order, if there are as
    many.
    """
    differences = [
        f"- {key}: {first['machine'].get(key)} / {second['machine'].get(key)}\n"
        for key in first["machine"]
        if first["machine"].get(key) != second["machine"].get(key) and key != "clock_mhz"
    ]
    differences += [] if first["images"] == second["images"] else ["- other images: the times are of different work\n"]
    rows = [["", "", "first p50 ms", "second p50 ms", "ratio (noise)"]]
    for name, (one, other) in _pair(first, second).items():
        of_one, of_other = _find_timings(one), _find_timings(other)
        for what in [key for key in of_one if key in of_other]:
            timings = of_one[what], of_other[what]
            rows.append([name, what, *(f"{timing.p50_ms:.2f}" for timing in timings), str(ratio_apart(*timings))])
    return "".join([*differences, "\n" if differences else "", tabulate(rows)])


def _find_timings(result: dict[str, Any]) -> dict[str, Timing]:
    """Everything that was timed of a system or a peer, by a name that says what it is."""
    found = dict(result["times"])
    found |= {f"an image in batches of {size}": timing for size, timing in result.get("throughput", {}).items()}
    for cell in result.get("cells", ()):
        where = ", ".join(f"{name} {value}" for name, value in zip(CELL, _describe_cell(cell), strict=True))
        found |= {f"{what} alone: {where}": timing for what, timing in cell["times"].items()}
    return {what: Timing.from_dict(timing) for what, timing in found.items()}


def _pair(first: Report, second: Report) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    ours, theirs = ({**report["systems"], **report["peers"]} for report in (first, second))
    shared = {name: (one, theirs[name]) for name, one in ours.items() if name in theirs}
    if shared:
        return shared
    if len(ours) != len(theirs):
        raise ValueError(f"nothing to compare: {', '.join(ours)} were measured first, {', '.join(theirs)} second")
    pairs = zip(ours.items(), theirs.items(), strict=True)
    return {f"{name} / {other}": (one, another) for (name, one), (other, another) in pairs}
