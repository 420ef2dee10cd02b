"""The page of a repository: what the hub shows of a model, and how to use it."""

from textspot.model_card import ModelCard

CARD = "README.md"
TASK, TASK_NAME = "image-to-text", "text spotting"
TAGS = ["textspot", "ocr", "text-detection", "text-recognition", "scene-text"]
MEASURE = "hmean"  # of the figures in the card: the one that sums up a protocol
IMAGES = "the validation images of its training"


def describe_model(card: ModelCard, repo: str) -> str:
    """The page in Markdown: front matter that the hub reads (kind, task, figures), and how to read an image."""
    front = front_matter(card, repo)
    return f"---\n{front}\n---\n\n# {repo.rpartition('/')[2]}\n\n{_describe_use(repo)}\n\n{_describe_figures(card)}"


def front_matter(card: ModelCard, repo: str) -> str:
    """The YAML that the hub reads."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(TASK, "validation", IMAGES, MEASURE, round(value, 4), task_name=TASK_NAME, metric_name=name)
        for name, value in summing_figures(card).items()
    ]
    name = repo.rpartition("/")[2]
    data = ModelCardData(
        library_name="textspot", pipeline_tag=TASK, tags=TAGS, model_name=name, eval_results=results or None
    )
    return data.to_yaml()


def summing_figures(card: ModelCard) -> dict[str, float]:
    """The figures of the card that sum up a protocol."""
    return {name: value for name, value in card.metrics.items() if name.endswith(f"/{MEASURE}")}


def _describe_use(repo: str) -> str:
    return f"""Finds and reads text in photographs, with [textspot](https://pypi.org/project/textspot).

```bash
pip install 'textspot[hub]'
textspot infer --weights hf://{repo} photo.jpg
```

```python
import textspot

print(textspot.load("hf://{repo}")("photo.jpg").text)
```

The files bear checksums, which are compared when they are loaded."""


def _describe_figures(card: ModelCard) -> str:
    rows = [f"| {name.removesuffix('/' + MEASURE)} | {value:.3f} |" for name, value in summing_figures(card).items()]
    text = f"Characters: `{card.charset.characters}`\n"
    if not rows:
        return text
    return f"| protocol | {MEASURE} on {IMAGES} |\n|---|---|\n" + "\n".join(rows) + f"\n\n{text}"
