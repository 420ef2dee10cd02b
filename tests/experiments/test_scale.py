"""Costs on paper and the simulation: what they must give where the answer is known."""

from dataclasses import replace

import costs
import numpy as np
import pytest
import simulate
from simulate import Reading, Training, simulate_reading, simulate_training

VALUES = {
    **{"fetch_core_s": 0.1, "decode_core_s": 0.1, "prepare_core_s": 0.1, "network_core_s": 0.6, "text_core_s": 0.1},
    **{"image_mb": 2.0, "actor_efficiency": 0.5, "gpu_images_per_s": 100.0, "cores_per_gpu": 8.0},
    **{"network_gbit_s": 8.0, "requests_per_s": 1000.0, "core_hour_price": 1.0, "gpu_hour_price": 10.0},
    **{"million_requests_price": 2.0, "training_image_mb": 0.5},
}


def test_costs_of_images_that_take_a_second():
    assert costs.core_seconds(VALUES) == pytest.approx(2.0)
    cpus = costs.cost_on_cpus(VALUES, 1_800_000)
    assert (cpus["core_hours"], cpus["terabytes"]) == pytest.approx((1000, 3.6))
    assert cpus["dollars"] == pytest.approx(1003.6)
    assert costs.gpu_rate(VALUES) == pytest.approx(
        {"the GPU": 100, "its cores: fetch, decode, prepare, text": 10, "its network card": 500}
    )
    assert costs.cost_on_gpus(VALUES, 36_000)["gpu_hours"] == pytest.approx(1)
    assert list(costs.limits(VALUES).values()) == pytest.approx([1000, 2000, 100])
    assert costs.training_bandwidth(VALUES) == 50


def test_the_files_that_ship_have_all_values():
    values = costs.load_values(costs.FOLDER / "measured.json", costs.FOLDER / "assumptions.yaml")
    assert values.keys() >= VALUES.keys()
    assert "| a billion |" in costs.describe(values)


def test_a_value_stands_in_one_file(tmp_path):
    (tmp_path / "measured.json").write_text('{"a": 1}')
    (tmp_path / "assumptions.yaml").write_text("a: {value: 2}")
    with pytest.raises(ValueError, match="leave it out of one"):
        costs.load_values(tmp_path / "measured.json", tmp_path / "assumptions.yaml")


CALM = Reading(1024, 4, 8, spread=0.0, slow_share=0.0, hours_between_failures=1e9)
STEADY = Training(100, 4, spread=0.0, hours_between_failures=1e9, save_s=0.0)


def test_nothing_is_lost_where_nothing_happens():
    assert simulate_reading(CALM, np.random.default_rng(0)) == pytest.approx(1)
    assert simulate_training(STEADY, np.random.default_rng(0)) == pytest.approx(1)


def test_the_last_part_is_waited_for():
    assert simulate_reading(replace(CALM, num_images=9, actors=2), np.random.default_rng(0)) == pytest.approx(9 / 16)


@pytest.mark.parametrize("changes", [{"slow_share": 0.5}, {"hours_between_failures": 0.01}, {"images_per_part": 1000}])
def test_what_costs_time_in_reading(changes):
    assert simulate_reading(replace(CALM, **changes), np.random.default_rng(0)) < 0.9


@pytest.mark.parametrize(
    "changes", [{"spread": 0.2}, {"hours_between_failures": 0.01}, {"save_every": 1, "save_s": 1.0}]
)
def test_what_costs_time_in_training(changes):
    run = replace(STEADY, **({"save_every": 10} | changes))
    assert simulate_training(run, np.random.default_rng(0)) < 0.9


def test_the_tables_are_the_same_every_time():
    tables = [simulate.describe(replace(Reading(), num_images=5000), replace(STEADY), 3) for _ in range(2)]
    assert tables[0] == tables[1]
