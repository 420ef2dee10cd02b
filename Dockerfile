# The service on a CPU, in ONNX Runtime, without PyTorch.
#   docker build -t textspot .
#   docker run --rm -p 127.0.0.1:8000:8000 textspot --limits.queue 32
FROM python:3.12-slim

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 HOME=/tmp

WORKDIR /build
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY configs configs
COPY datasets datasets
COPY textspot textspot
# hadolint ignore=DL3013
RUN pip install ".[serve,pdf]" && rm -rf /build/*

WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --start-period=60s --timeout=5s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["textspot", "serve", "--host", "0.0.0.0"]
