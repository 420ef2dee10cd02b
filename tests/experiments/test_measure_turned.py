import numpy as np
import pytest
from measure_turned import turn_sample

from textspot.structures import Sample


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_polygons_turn_with_the_photograph(turn):
    """The corner of the image that is white stays below the first point of the polygon."""
    image = np.zeros((40, 60, 3), np.uint8)
    image[2:5, 50:53] = 255
    polygon = np.array([[51.5, 3.5], [10, 5], [10, 20], [50, 20]], np.float32)
    turned = turn_sample(Sample(image, [polygon], ["a"], np.array([False]), "a"), turn)
    x, y = turned.polygons[0][0]
    assert turned.image.shape[:2] == ((40, 60) if turn % 2 == 0 else (60, 40))
    assert turned.image[int(y), int(x)].tolist() == [255, 255, 255]
