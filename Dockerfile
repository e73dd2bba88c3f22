# Two images: `service` (no torch, the default) and `exporter` (everything that makes a bundle).
#   docker build -t seqrank .
#   docker build -t seqrank-exporter --target exporter .
#   docker build -t seqrank:cuda --build-arg RUNTIME=cuda .      (CUDA 13 libraries come as wheels)
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/venv/bin:$PATH
WORKDIR /seqrank

FROM base AS service-packages
ARG RUNTIME=service
RUN python3 -m venv /venv
COPY pyproject.toml README.md LICENSE ./
# Dependencies first: they change less often than the code.
RUN mkdir app model_export && touch app/__init__.py model_export/__init__.py \
    && pip install --no-cache-dir ".[${RUNTIME}]" && pip uninstall --yes seqrank
# What the first install left in build/ is newer than the code and would be taken in its place.
RUN rm -rf app model_export build seqrank.egg-info
COPY app app
COPY model_export model_export
RUN pip install --no-cache-dir --no-deps .

FROM base AS exporter-packages
RUN python3 -m venv /venv
COPY pyproject.toml README.md LICENSE ./
RUN mkdir app model_export && touch app/__init__.py model_export/__init__.py \
    && pip install --no-cache-dir torch==2.13.0 && pip install --no-cache-dir ".[demo]" && pip uninstall --yes seqrank
# What the first install left in build/ is newer than the code and would be taken in its place.
RUN rm -rf app model_export build seqrank.egg-info
COPY app app
COPY model_export model_export
RUN pip install --no-cache-dir --no-deps .

FROM base AS exporter
RUN useradd --uid 10001 --create-home seqrank && mkdir /bundles && chown seqrank /bundles
COPY --from=exporter-packages /venv /venv
USER seqrank
VOLUME /bundles
CMD ["python3", "-m", "model_export.pipeline", "--output", "/bundles/demo"]

FROM base AS service
RUN useradd --uid 10001 --no-create-home seqrank && mkdir /bundles && chown seqrank /bundles
COPY --from=service-packages /venv /venv
USER seqrank
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python3", "-m", "app", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--bundle", "/bundles/demo/bundle"]
