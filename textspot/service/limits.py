"""What one request may take, and how many are served."""

from dataclasses import dataclass
from typing import Annotated

from textspot.ranges import NonNegativeInt, PositiveInt, Range, check_ranges

Seconds = Annotated[float, Range(0.01)]


@dataclass(frozen=True)
class ServiceLimits:
    """What one request may take, and how many are served.

    Args:
        max_bytes: maximum size in bytes of an upload, or of a file behind a URL.
        max_pixels: maximum number of pixels of an image or a page.
        max_pages: maximum number of pages or frames of a file.
        concurrency: images that are read at the same time.
        queue: requests that wait for their turn; more are sent away with status 503.
        timeout_s: seconds from the start of a request to its answer.
        urls: read URLs from the internet.
        private_urls: allow URLs of addresses that are not public, such as localhost.
        url_timeout_s: seconds that a URL may take to answer.
    """

    max_bytes: PositiveInt = 20 << 20
    max_pixels: PositiveInt = 40_000_000
    max_pages: PositiveInt = 50
    concurrency: PositiveInt = 1
    queue: NonNegativeInt = 16
    timeout_s: Seconds = 60.0
    urls: bool = False
    private_urls: bool = False
    url_timeout_s: Seconds = 10.0

    def __post_init__(self) -> None:
        check_ranges(self, "")
        if self.private_urls and not self.urls:
            raise ValueError("private_urls is for reading URLs: set urls too")
