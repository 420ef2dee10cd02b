"""A machine-learning backend for Label Studio: it reads the image of each task, and a person corrects the words.

  pip install 'textspot[serve]'
  LABEL_STUDIO_URL=http://localhost:8080 LABEL_STUDIO_API_KEY=TOKEN python docs/label_studio_backend.py

Then connect http://localhost:9090 under Settings, Model. The labelling interface of the project is the
label_config.xml that `textspot prelabel --format label_studio` writes. Only images that Label Studio itself serves are
read: uploads and local files. Label Studio 1.23 refuses a backend on the same machine, unless it was started
with ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false.
"""

import json
import os
import urllib.request
from typing import Annotated, Any
from urllib.parse import urljoin, urlsplit

import uvicorn
from fastapi import Body, FastAPI

import textspot
from textspot.image_decoding import ImageError
from textspot.prelabel.label_studio import results_of

LABEL_STUDIO = os.environ.get("LABEL_STUDIO_URL", "http://localhost:8080")
API_KEY = os.environ.get("LABEL_STUDIO_API_KEY", "")
PORT = int(os.environ.get("PORT", "9090"))
TIMEOUT_S = 30

app = FastAPI(title="textspot for Label Studio")
spotter = textspot.load(os.environ.get("WEIGHTS", "spotter-s"))
VERSION = f"textspot {textspot.__version__}"


def authorize() -> str:
    """The header of authorization: a personal access token is exchanged for one that lasts some minutes; others, the
    legacy ones, are sent as they are."""
    if API_KEY.count(".") != 2:
        return f"Token {API_KEY}"
    headers = {"Content-Type": "application/json"}
    address = urljoin(LABEL_STUDIO, "/api/token/refresh")
    request = urllib.request.Request(address, json.dumps({"refresh": API_KEY}).encode(), headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return f"Bearer {json.load(answer)['access']}"


def fetch_image(address: str) -> bytes:
    """The bytes of a task's image, from Label Studio and nobody else, who must not see the token."""
    parts = urlsplit(urljoin(LABEL_STUDIO, address))
    if (parts.scheme, parts.netloc) != urlsplit(LABEL_STUDIO)[:2]:
        raise ValueError(f"{address}: not an image that Label Studio serves itself")
    request = urllib.request.Request(parts.geturl(), headers={"Authorization": authorize()})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return answer.read()


def predict_task(task: dict[str, Any]) -> dict[str, Any]:
    """What is found in a task's image; of an image that cannot be read nothing, and the log says why."""
    try:
        prediction = spotter(fetch_image(task["data"]["ocr"]))
    except (ImageError, ValueError, OSError, KeyError) as error:
        print(f"task {task.get('id')}: {error!r}", flush=True)
        return {"result": [], "model_version": VERSION}
    score = min((word.score for word in prediction), default=1.0)  # tasks with doubtful words come first
    return {"result": results_of(prediction), "score": score, "model_version": VERSION}


@app.get("/health")
def health() -> dict[str, str]:
    """Label Studio asks whether the backend is up."""
    return {"status": "UP", "model_class": "textspot"}


@app.post("/setup")
def setup() -> dict[str, str]:
    """Label Studio introduces itself, and wants to know which model it talks to."""
    return {"model_version": VERSION}


@app.post("/predict")
def predict(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    """The regions of each of the tasks."""
    return {"results": [predict_task(task) for task in body["tasks"]]}


@app.post("/webhook")
def webhook() -> dict[str, str]:
    """Label Studio tells what happens to the project: nothing is learnt from it."""
    return {"status": "ignored"}


if __name__ == "__main__":
    uvicorn.run(app, port=PORT)
