"""Perplexities as Markdown, and leads with their intervals. Legend: W windows."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
from perplexities import FLOAT, UNSMOOTHED, WITHOUT_RANK, Cell, Results

RESAMPLES = 10_000
RIVALS = ("rtn", "smoothquant", "lorc", "l2qer", UNSMOOTHED)


def perplexity(line: dict) -> float:
    """Of the held-out windows."""
    return math.exp(statistics.fmean(line["losses"]))


def format_table(results: Results, cells: Sequence[Cell]) -> str:
    """A row per method and cost, a column per precision: the mean over the seeds and their standard deviation."""
    measured = results.get(FLOAT)
    assert measured is not None  # `measure` began with it
    bits = list(dict.fromkeys(cell.bits for cell in cells))
    lines = [f"float: {perplexity(measured):.2f}", ""]
    lines += [f"| method | cost | more multiplications | {' | '.join(bits)} |", "|---" * (len(bits) + 3) + "|"]
    for method, cost in sorted(dict.fromkeys((c.method, c.cost) for c in cells), key=lambda row: row[1]):
        of_row = [cell for cell in cells if (cell.method, cell.cost) == (method, cost)]
        columns = [_format_cell(results, [cell for cell in of_row if cell.bits == each]) for each in bits]
        extra = statistics.fmean(line["extra"] for cell in of_row if (line := results.get(cell)))
        lines.append(f"| {method} | {cost} | {f'+{extra:.1%}' if extra else ''} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _format_cell(results: Results, cells: Sequence[Cell]) -> str:
    found = [perplexity(line) for cell in cells if (line := results.get(cell))]
    spread = f" ± {statistics.stdev(found):.2f}" if len(found) > 1 else ""
    return f"{statistics.fmean(found):.2f}{spread}" if found else ""


def format_leads(results: Results, cells: Sequence[Cell]) -> str:
    """By how many percent ASER's perplexity is below that of each other method at the same cost: the mean over the
    seeds, the 95 % interval of a paired bootstrap over windows, and the lead of each seed."""
    lines = ["| bits | cost | over | lower by, 95 % interval | of each seed |", "|---|---|---|---|---|"]
    for bits, cost in dict.fromkeys((cell.bits, cell.cost) for cell in cells if cell.method == "aser"):
        ours = _by_seed(results, cells, "aser", bits, cost)
        for rival in RIVALS:
            theirs = _by_seed(results, cells, rival, bits, "" if rival in WITHOUT_RANK else cost)
            if not (ours and theirs):
                continue
            alone = next(iter(theirs.values()))  # of a method that looks at no inputs there is one
            gains_SW = np.array([theirs.get(seed, alone) - losses for seed, losses in ours.items()])
            value, low, high = (_percent(gain) for gain in bootstrap(gains_SW.mean(axis=0)))
            each = ", ".join(f"{_percent(gain):.2f}" for gain in gains_SW.mean(axis=1))
            lines.append(f"| {bits} | {cost} | {rival} | {value:.2f} % ({low:.2f} to {high:.2f}) | {each} |")
    return "\n".join(lines)


def _by_seed(results: Results, cells: Sequence[Cell], method: str, bits: str, cost: str) -> dict[int, np.ndarray]:
    chosen = [cell for cell in cells if (cell.method, cell.bits, cell.cost) == (method, bits, cost)]
    return {cell.seed: np.array(line["losses"]) for cell in chosen if (line := results.get(cell))}


def _percent(gain: float) -> float:
    """By how much the perplexity is lower when the loss is lower by `gain`."""
    return 100 * (1 - math.exp(-gain))


def bootstrap(gains_W: np.ndarray) -> tuple[float, float, float]:
    """The mean, and the 2.5th and 97.5th percentile of it over resampled windows."""
    generator = np.random.default_rng(0)
    means = gains_W[generator.integers(len(gains_W), size=(RESAMPLES, len(gains_W)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return gains_W.mean().item(), low.item(), high.item()
