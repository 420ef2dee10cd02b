"""A sweep as a page: one table of what is lost and won, and plots of where."""

from collections.abc import Mapping, Sequence

from textspot.compression.engine import Timings
from textspot.compression.sweep import FLOAT, Result
from textspot.engine.evaluate import PROTOCOLS
from textspot.metrics.bootstrap import Difference

DETECTION, END_TO_END = PROTOCOLS
READING = "recognition/word_accuracy_case_insensitive"


def to_markdown(results: Sequence[Result], timings: Timings) -> str:
    """The table of results, the float network first, with the milliseconds of every engine that was timed."""
    reference = next(result for result in results if result.name == FLOAT)
    data = list(reference.accuracies)
    columns = ["network", "MiB", "low-rank MiB", "more multiplications"]
    columns += [f"{name}: {what}" for name in data for what in ("detection", "end-to-end", "change and 95 % interval")]
    columns += [f"{name}: words read" for name in reference.reading]
    columns += [f"{engine} ms (float / this)" for engine in timings]
    rows = [_row(result, reference, timings) for result in results]
    lines = [_line(columns), _line(["---"] * len(columns)), *map(_line, rows)]
    if not data:
        return "\n".join(lines)
    others = sorted({result.measured_in for result in results} - {reference.measured_in})
    where = ", of the others in ".join([reference.measured_in, *others])
    how = f"End-to-end and detection hmean are those of the whole path in {where}, at the threshold of the weights."
    return "\n".join([*lines, "", how])


def compare_methods(results: Sequence[Result], baseline: str = "rtn") -> str:
    """What each method gains in end-to-end hmean over the baseline at the same bits; empty without a pair."""
    by_name = {result.name: result for result in results}
    pairs = []
    for ours in results:
        method, _, precision = ours.name.partition("-")
        other = by_name.get(f"{baseline}-{precision}")
        if other is not None and method != baseline:
            pairs.append((ours, other, other.name))
    return _compare(pairs)


def compare_folders(results: Sequence[Result], folder: str, others: Mapping[str, Result]) -> str:
    """What each network gains in end-to-end hmean over that of its name in a folder, if it holds one."""
    return _compare([(ours, others[ours.name], f"{folder}: {ours.name}") for ours in results if ours.name in others])


def _compare(pairs: Sequence[tuple[Result, Result, str]]) -> str:
    """A line for each pair and data set; empty without a pair."""
    lines = []
    for ours, other, name in pairs:
        for data, accuracy in ours.accuracies.items():
            gain = accuracy.gain_over(other.accuracies[data])
            extra = _extra(ours, other)
            lines.append(_line([ours.name, name, data, _points(gain), "yes" if gain.is_clear else "no", extra]))
    if not lines:
        return ""
    columns = ["network", "beside", "data", "gain and 95 % interval", "excludes zero", "more multiplications"]
    return "\n".join([_line(columns), _line(["---"] * len(columns)), *lines])


def _row(result: Result, reference: Result, timings: Timings) -> list[str]:
    cells = [
        result.name,
        f"{result.num_mebibytes:.2f}",
        f"{result.bytes.get('low_rank', 0) / 2**20:.2f}",
        _extra(result, reference),
    ]
    for name, accuracy in result.accuracies.items():
        hmeans = accuracy.hmeans()
        change = accuracy.gain_over(reference.accuracies[name])
        cells += [f"{hmeans[DETECTION]:.3f}", f"{hmeans[END_TO_END]:.3f}"]
        cells.append("" if result is reference else _points(change))
    cells += [f"{result.reading[data][READING]:.3f}" if data in result.reading else "" for data in reference.reading]
    for times in timings.values():
        timing = times.get(result.name)
        if result is reference:
            cells += [f"{one.float_ms:.0f}" for one in list(times.values())[:1]]
        else:
            cells.append(f"{timing.quantized_ms:.0f} ({timing.ratio})" if timing else "")
    return cells


def _extra(result: Result, reference: Result) -> str:
    return f"{result.multiplications / reference.multiplications - 1:+.1%}"


def _points(difference: Difference) -> str:
    value, low, high = (100 * number for number in difference)
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
