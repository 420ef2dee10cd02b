"""What it costs to read many images, and which part of the machinery is the narrowest, on paper.

  python tools/experiments/scale/costs.py

Reckons from `measured.json`, which measure_stages.py writes, and from `assumptions.yaml`. Both are short: change a
value and run it again. Prints tables in Markdown.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
COUNTS = {"a million": 10**6, "a billion": 10**9}
ON_CPUS = ("fetch_core_s", "decode_core_s", "prepare_core_s", "network_core_s", "text_core_s")
Values = Mapping[str, float]


def core_seconds(values: Values, on_gpu: bool = False) -> float:
    """Seconds of a core for one image; where a GPU runs the network, those of the other stages."""
    stages = [stage for stage in ON_CPUS if not (on_gpu and stage == "network_core_s")]
    return sum(values[stage] for stage in stages) / values["actor_efficiency"]


def cost_on_cpus(values: Values, num_images: int) -> dict[str, float]:
    """Core hours, terabytes fetched and dollars for so many images on CPUs."""
    core_hours = num_images * core_seconds(values) / 3600
    return {
        "core_hours": core_hours,
        "terabytes": num_images * values["image_mb"] / 1e6,
        "dollars": core_hours * values["core_hour_price"] + num_images / 1e6 * values["million_requests_price"],
    }


def gpu_rate(values: Values) -> dict[str, float]:
    """Images per second that each part of a machine with one GPU lets through."""
    return {
        "the GPU": values["gpu_images_per_s"],
        "its cores: fetch, decode, prepare, text": values["cores_per_gpu"] / core_seconds(values, on_gpu=True),
        "its network card": values["network_gbit_s"] / 8 * 1000 / values["image_mb"],
    }


def cost_on_gpus(values: Values, num_images: int) -> dict[str, float]:
    """GPU hours and dollars for so many images, at the rate of the narrowest part."""
    gpu_hours = num_images / min(gpu_rate(values).values()) / 3600
    dollars = gpu_hours * values["gpu_hour_price"] + num_images / 1e6 * values["million_requests_price"]
    return {"gpu_hours": gpu_hours, "dollars": dollars}


def limits(values: Values) -> dict[str, float]:
    """How many cores read at once before something else than cores is full."""
    rate = 1 / core_seconds(values)  # of a core
    network = values["network_gbit_s"] / 8 * 1000 / values["image_mb"] / rate
    return {
        "cores of one machine that fill its network card": network,
        "cores in all that reach the limit of one prefix of the store": values["requests_per_s"] / rate,
        "GPU machines that reach the limit of one prefix of the store": values["requests_per_s"]
        / min(gpu_rate(values).values()),
    }


def training_bandwidth(values: Values) -> float:
    """Megabytes per second that one GPU wants while it trains."""
    return values["gpu_images_per_s"] * values["training_image_mb"]


def describe(values: Values) -> str:
    """All tables."""
    lines = ["| stage | processor time per image, ms |", "|---|---|"]
    lines += [f"| {stage.removesuffix('_core_s')} | {1000 * values[stage]:.1f} |" for stage in ON_CPUS]
    lines += [f"| together, with the efficiency of actors | {1000 * core_seconds(values):.1f} |", ""]
    lines += [
        "| images | core hours | USD on CPUs | GPU hours | USD on GPUs | TB fetched |",
        "|---|---|---|---|---|---|",
    ]
    for name, count in COUNTS.items():
        cpus, gpus = cost_on_cpus(values, count), cost_on_gpus(values, count)
        lines.append(
            f"| {name} | {cpus['core_hours']:,.0f} | {cpus['dollars']:,.0f} | {gpus['gpu_hours']:,.1f} | "
            f"{gpus['dollars']:,.1f} | {cpus['terabytes']:,.2f} |"
        )
    lines += ["", "| a machine with one GPU, limited by | images/s |", "|---|---|"]
    lines += [f"| {name} | {rate:,.0f} |" for name, rate in gpu_rate(values).items()]
    lines += ["", "| what else limits the speed | at |", "|---|---|"]
    lines += [f"| {name} | {count:,.0f} |" for name, count in limits(values).items()]
    lines += [f"| MB/s that one GPU needs while it trains | {training_bandwidth(values):,.0f} |"]
    return "\n".join(lines)


def describe_assumptions(assumptions: Path) -> str:
    """The table of what is assumed."""
    listed = yaml.safe_load(assumptions.read_text(encoding="utf-8"))
    rows = [f"| `{name}` | {one['value']} {one['unit']} | {one['why']} |" for name, one in listed.items()]
    return "\n".join(["| assumption | value | why |", "|---|---|---|", *rows, ""])


def load_values(measured: Path, assumptions: Path) -> dict[str, float]:
    """The values of both files by name; one that stands in both is a ValueError."""
    values = json.loads(measured.read_text(encoding="utf-8"))
    assumed = {name: one["value"] for name, one in yaml.safe_load(assumptions.read_text(encoding="utf-8")).items()}
    if both := values.keys() & assumed.keys():
        raise ValueError(f"{', '.join(both)}: in {measured} and in {assumptions}: leave it out of one")
    return values | assumed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path, default=FOLDER / "measured.json")
    parser.add_argument("--assumptions", type=Path, default=FOLDER / "assumptions.yaml")
    given = parser.parse_args()
    print(describe_assumptions(given.assumptions))
    print(describe(load_values(given.measured, given.assumptions)))


if __name__ == "__main__":
    main()
