"""The page of the demo, made with Gradio."""

import shutil
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from textspot.demo.readings import LOWEST, Reading, draw_examples, read, write_files
from textspot.image_decoding import ImageError
from textspot.inference.spotter import Spotter
from textspot.text.language import list_languages
from textspot.visualize import draw_prediction

SESSION_S = 3600  # for which an image that was read is kept
MAX_SESSIONS = 50
MAX_FILE_SIZE = "20mb"
FONTS = ["system-ui", "sans-serif"]
TITLE = "# textspot\nFind and read the text in a photograph. Nothing leaves this machine."
CSS = """
footer {display: none !important}
#photograph {height: 360px}
#picture img {max-height: 75vh}
@media (max-width: 640px) {#photograph {height: 260px}}
"""


class Page:
    """What the page does: each event is a method. Files lie below `folder`, which its owner deletes."""

    def __init__(self, spotter: Spotter, folder: Path):
        self.spotter, self.folder = spotter, folder

    def read(self, file: str | None, language: str, score: float, request: gr.Request) -> tuple[Any, ...]:
        """An image was chosen, or another language."""
        if file is None:
            return None, None, "", gr.DownloadButton(interactive=False), gr.DownloadButton(interactive=False)
        try:
            reading = read(self.spotter, Path(file), language)
        except ImageError as error:
            raise gr.Error(str(error).replace(file, Path(file).name), print_exception=False) from error
        return reading, *self.show(reading, score, request)

    def show(self, reading: Reading | None, score: float, request: gr.Request) -> tuple[Any, ...]:
        """The picture, the text and the files of what was read with at least this score."""
        if reading is None:
            return None, "", gr.skip(), gr.skip()
        prediction = reading.above(score)
        json_file, pdf_file = write_files(prediction, reading.image, self._folder_of(request))
        picture = Image.fromarray(draw_prediction(reading.image, prediction))
        buttons = (gr.DownloadButton(value=str(file), interactive=True) for file in (json_file, pdf_file))
        return picture, prediction.text or "Nothing was found.", *buttons

    def forget(self, request: gr.Request) -> None:
        """The files of a session that is over."""
        shutil.rmtree(self._folder_of(request), ignore_errors=True)

    def _folder_of(self, request: gr.Request) -> Path:
        return self.folder / str(request.session_hash)


def build_page(spotter: Spotter, folder: Path) -> gr.Blocks:
    """The page; its files lie below `folder`."""
    page = Page(spotter, folder)
    examples = [[str(file)] for file in draw_examples(folder)]
    language = spotter.language.name if spotter.language else "none"
    with gr.Blocks(title="textspot", analytics_enabled=False, delete_cache=(SESSION_S, SESSION_S)) as blocks:
        reading = gr.State(time_to_live=SESSION_S)
        gr.Markdown(TITLE)
        with gr.Row():
            with gr.Column():
                image = gr.Image(
                    label="Photograph",
                    type="filepath",
                    image_mode=None,  # decoded by us, as everywhere
                    sources=["upload", "webcam", "clipboard"],
                    buttons=[],
                    elem_id="photograph",
                )
                gr.Examples(examples, inputs=[image], label="Synthetic examples")
                names = sorted({*list_languages(), "none", language})
                chosen = gr.Dropdown(names, value=language, label="Language preferred when in doubt")
            with gr.Column():
                picture = gr.Image(
                    label="What was found",
                    show_label=False,  # it would cover the words of that corner
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="picture",
                )
                score = round(spotter.threshold, 2)
                slider = gr.Slider(LOWEST, 1, value=score, step=0.01, label="Least confidence", buttons=[])
                text = gr.Textbox(
                    label="Lines in reading order", lines=3, max_lines=20, buttons=["copy"], elem_id="lines"
                )
                with gr.Row():
                    as_json = gr.DownloadButton("JSON", interactive=False)
                    as_pdf = gr.DownloadButton("Searchable PDF", interactive=False)
        shown = [picture, text, as_json, as_pdf]
        gr.on([image.change, chosen.change], page.read, [image, chosen, slider], [reading, *shown], api_name="read")
        slider.change(page.show, [reading, slider], shown, show_progress="hidden", trigger_mode="always_last")
        blocks.unload(page.forget)
    return blocks.queue(default_concurrency_limit=1, max_size=MAX_SESSIONS)


def launch(blocks: gr.Blocks, host: str, port: int) -> None:
    """Serve the page, and say where, until the process is told to stop."""
    _, url, _ = blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        ssr_mode=False,
        enable_monitoring=False,
        max_file_size=MAX_FILE_SIZE,
        state_session_capacity=MAX_SESSIONS,
        footer_links=[],
        quiet=True,
        prevent_thread_lock=True,
        theme=gr.themes.Default(font=[gr.themes.Font(name) for name in FONTS], font_mono=[gr.themes.Font("monospace")]),
        css=CSS,
    )
    print(f"The page is at {url} Press Ctrl-C to stop.", flush=True)
    blocks.block_thread()
