# syntax=docker/dockerfile:1
# docker build -t bears_tl_cuda -f docker/cuda.Dockerfile .
# docker run --gpus all -v "$PWD/runs:/work/runs" bears_tl_cuda train
# CUDA and cuDNN come with TensorFlow's packages; the driver is the host's (NVIDIA's container toolkit).
FROM python:3.12-slim-bookworm

# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 reader && mkdir /work && chown 1000 /work
WORKDIR /work
USER 1000
ENV PATH="/work/.venv/bin:$PATH" PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

COPY --chown=1000 requirements.txt requirements-dev.txt ./
RUN python -m venv .venv && pip install -r requirements.txt -r requirements-dev.txt
COPY --chown=1000 . .
RUN pip install --constraint requirements.txt -e ".[gpu]"

ENTRYPOINT ["/work/docker/entry.sh"]
CMD ["--help"]
