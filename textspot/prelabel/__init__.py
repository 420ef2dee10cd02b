"""What was read, as annotation that a person corrects: one file per tool. The names are the choices of `--format`.

Each writes what `textspot.data.formats` reads again under the same name.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from textspot.prelabel import cvat, jsonl, label_studio, labelme, ppocrlabel
from textspot.structures import Prediction

ToolName = Literal["label_studio", "labelme", "cvat", "ppocrlabel", "jsonl"]
# The files of a project: path below the folder of the images to bytes. The name of a prediction is its image's path
# below that folder, with forward slashes; for those in WITH_FOLDER it begins with the name of that folder.
TOOLS: dict[str, Callable[[Sequence[Prediction]], dict[str, bytes]]] = {
    "label_studio": label_studio.write,
    "labelme": labelme.write,
    "cvat": cvat.write,
    "ppocrlabel": ppocrlabel.write,
    "jsonl": jsonl.write,
}
WITH_FOLDER: tuple[ToolName, ...] = ("ppocrlabel", "label_studio")
