from dataclasses import replace

import numpy as np
import pytest

from textspot.data.lmdb_records import Reader
from textspot.data.synthetic import Renderer, RendererConfig
from textspot.data.synthetic.draw import DrawConfig, check_drawn, draw_dataset

CONFIG = DrawConfig(num_images=5, seed=4, renderer=RendererConfig(height=64, width=96, max_text_height=20))


def records(path) -> list:
    return list(Reader(path))


def test_png_keeps_what_was_rendered(tmp_path):
    meta = draw_dataset(tmp_path / "drawn", replace(CONFIG, image_format="png"))
    renderer, reader = Renderer(CONFIG.renderer), Reader(tmp_path / "drawn")
    assert meta.count == len(reader) == 5
    for index in range(5):
        expected, stored = renderer.render(4, index), reader.sample(index)
        np.testing.assert_array_equal(stored.image, expected.image)
        np.testing.assert_array_equal(np.array(stored.polygons), np.array(expected.polygons))
        assert list(stored.transcripts) == list(expected.transcripts)
        assert stored.ignore.tolist() == expected.ignore.tolist()


def test_jpg_is_smaller_and_close(tmp_path):
    draw_dataset(tmp_path / "drawn", CONFIG)
    expected, stored = Renderer(CONFIG.renderer).render(4, 0), Reader(tmp_path / "drawn").sample(0)
    assert stored.name.endswith("_000000.jpg")
    assert np.abs(stored.image.astype(int) - expected.image).mean() < 8


def test_the_card_records_how_the_set_was_drawn(tmp_path):
    card = draw_dataset(tmp_path / "drawn", CONFIG).card
    assert card["name"] == "drawn"
    assert card["drawn"]["seed"] == 4
    assert card["drawn"]["renderer"]["max_text_height"] == 20
    assert "num_processes" not in card["drawn"]


def test_a_set_that_is_older_than_a_setting_was_rendered_with_its_default(tmp_path):
    meta = draw_dataset(tmp_path / "drawn", CONFIG)
    del meta.card["drawn"]["renderer"]["words"]["languages"]
    check_drawn(tmp_path / "drawn", meta, CONFIG)
    words = replace(CONFIG.renderer.words, languages=("german",))
    for other in (replace(CONFIG, renderer=replace(CONFIG.renderer, words=words)), replace(CONFIG, seed=5)):
        with pytest.raises(ValueError, match="was not rendered as the recipe says"):
            check_drawn(tmp_path / "drawn", meta, other)


def test_a_whole_number_is_the_same_setting_with_a_decimal_point(tmp_path):
    meta = draw_dataset(tmp_path / "drawn", replace(CONFIG, renderer=replace(CONFIG.renderer, max_text_height=20)))
    check_drawn(tmp_path / "drawn", meta, replace(CONFIG, renderer=replace(CONFIG.renderer, max_text_height=20.0)))


def test_progress_is_shown_image_by_image(tmp_path):
    seen = []

    def track(items, description):
        for item in items:
            seen.append((item, description))
            yield item

    draw_dataset(tmp_path / "drawn", CONFIG, track=track)
    assert seen == [(index, f"rendering {tmp_path / 'drawn'}") for index in range(5)]


def test_no_image_is_a_set_without_images(tmp_path):
    assert draw_dataset(tmp_path / "drawn", replace(CONFIG, num_images=0)).count == 0


def test_an_existing_set_is_kept_unless_told_otherwise(tmp_path):
    draw_dataset(tmp_path / "drawn", CONFIG)
    with pytest.raises(FileExistsError, match="exists already"):
        draw_dataset(tmp_path / "drawn", CONFIG)
    assert draw_dataset(tmp_path / "drawn", replace(CONFIG, num_images=2), overwrite=True).count == 2


def test_impossible_configurations_are_refused():
    with pytest.raises(ValueError, match=r"draw\.num_images is -1, expected at least 0"):
        DrawConfig(num_images=-1)
    with pytest.raises(ValueError, match=r"draw\.num_processes is 0, expected at least 1"):
        DrawConfig(num_processes=0)


def test_an_unusable_font_folder_stops_before_anything_is_written(tmp_path):
    config = replace(CONFIG, renderer=replace(CONFIG.renderer, fonts=str(tmp_path)))
    with pytest.raises(ValueError, match="none of the 0 font files"):
        draw_dataset(tmp_path / "drawn", config)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["scene", "sheet"])
def test_any_number_of_processes_draws_the_same(tmp_path, layout):
    config = replace(CONFIG, num_images=21, renderer=replace(CONFIG.renderer, layout=layout))
    draw_dataset(tmp_path / "one", config)
    draw_dataset(tmp_path / "four", replace(config, num_processes=4))
    assert records(tmp_path / "one") == records(tmp_path / "four")
