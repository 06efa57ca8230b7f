# syntax=docker/dockerfile:1
# docker build -t bears_tl -f docker/cpu.Dockerfile .
# docker run -v "$PWD/runs:/work/runs" bears_tl train
# docker run -p 127.0.0.1:8888:8888 bears_tl lab     (open the address that it prints)
FROM python:3.12-slim-bookworm

# git: its commit goes into the receipt. The user is not root, so JupyterLab needs no --allow-root.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 reader && mkdir /work && chown 1000 /work
WORKDIR /work
USER 1000
ENV PATH="/work/.venv/bin:$PATH" PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# The packages first: they change less often than the source.
COPY --chown=1000 requirements.txt requirements-dev.txt ./
RUN python -m venv .venv && pip install -r requirements.txt -r requirements-dev.txt
COPY --chown=1000 . .
RUN pip install --no-deps -e .

ENTRYPOINT ["/work/docker/entry.sh"]
CMD ["--help"]
