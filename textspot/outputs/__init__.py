"""What was read, in the formats of other programs: one file per format. The names are the choices of `--format`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from textspot.outputs import alto, coco_text, csv_table, hocr, markdown, pdf, text
from textspot.outputs.page import ReadPage as ReadPage
from textspot.outputs.page import encode_jpeg as encode_jpeg

DocumentName = Literal["text", "markdown", "hocr", "alto", "csv", "coco_text", "pdf"]


@dataclass(frozen=True)
class DocumentFormat:
    """A format whose file holds all pages of a document: how its name ends, how the bytes of the file are made of the
    pages, and whether it holds their pictures."""

    suffix: str
    write: Callable[[Sequence[ReadPage]], bytes]
    pictures: bool = False


FORMATS: dict[str, DocumentFormat] = {
    "text": DocumentFormat(".txt", text.write),
    "markdown": DocumentFormat(".md", markdown.write),
    "hocr": DocumentFormat(".hocr", hocr.write),
    "alto": DocumentFormat(".alto.xml", alto.write),
    "csv": DocumentFormat(".csv", csv_table.write),
    "coco_text": DocumentFormat(".coco.json", coco_text.write),
    "pdf": DocumentFormat(".pdf", pdf.write, pictures=True),
}
