"""A page to write: what was read on it, and the picture of it where the format holds one."""

import io
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from textspot.geometry import polygon_to_box
from textspot.structures import Prediction

JPEG_QUALITY = 90
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


@dataclass(frozen=True, eq=False)
class ReadPage:
    """What was read, and the image as JPEG; empty where the format needs none."""

    prediction: Prediction
    jpeg: bytes = b""

    @property
    def name(self) -> str:
        """The file's name, and the number of the page where it holds several."""
        page = self.prediction.page
        return self.prediction.name if page is None else f"{self.prediction.name}#page={page}"


def encode_jpeg(image: np.ndarray) -> bytes:
    """An RGB image (H, W, 3) uint8 as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def whole_box(*polygons: np.ndarray) -> tuple[int, int, int, int]:
    """The box `xyxy` around polygons (K, 2) in whole pixels."""
    left, top, right, bottom = polygon_to_box(np.concatenate(polygons))
    return int(np.floor(left)), int(np.floor(top)), int(np.ceil(right)), int(np.ceil(bottom))


def legal_xml(text: str) -> str:
    """The text, with U+FFFD for each character that XML cannot hold."""
    return _NO_XML.sub("\ufffd", text)
