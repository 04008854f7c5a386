# syntax=docker/dockerfile:1
# Images of one file; docs/aws.md and docs/production.md say where each one runs:
#   docker build --target control  --tag stockfc-control .   Dagster's web server and daemon, without torch
#   docker build --target code     --tag stockfc-code .      the code location: trains and forecasts, with torch
#   docker build --target api      --tag stockfc-api .       the HTTP API, without torch
#   docker build --target function --tag stockfc-function .  the daily forecast as a Lambda, without torch and Dagster
#
# Packages are pinned in constraints.txt. The base image is pinned by its tag; to pin its bytes, too, look its digest up
# (docker buildx imagetools inspect python:3.11.14-slim-bookworm) and build with
#   --build-arg PYTHON_IMAGE=python:3.11.14-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="stockfc" \
      org.opencontainers.image.description="Monthly stock price forecasts, 1 to 12 months ahead, on Dagster" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN useradd --create-home --uid 1000 stockfc && mkdir -p /app/stockfc_assets /data /logs && chown stockfc /data /logs
WORKDIR /app
# Dependencies come before the code: their layer stays the same until one of these files changes. pip must find a package.
RUN touch stockfc_assets/__init__.py
COPY pyproject.toml constraints.txt README.md LICENSE ./

FROM base AS control
RUN pip install --constraint constraints.txt --editable '.[web,aws,postgres]'
COPY deploy deploy
COPY config config
COPY stockfc_assets stockfc_assets
# Dagster writes small files of its own into DAGSTER_HOME.
RUN python -m compileall -q stockfc_assets && chown -R stockfc deploy
ENV DAGSTER_HOME=/app/deploy STOCKFC_DAGSTER_DIR=/logs STOCKFC_DATA=/data
USER 1000
EXPOSE 3000
# The daemon runs the same image and replaces this check (deploy/compose.yaml).
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/server_info', timeout=8)"]
# Loopback inside the container unless told otherwise: it has no login. Put authentication before it, then set the host.
CMD ["dagster-webserver", "-h", "127.0.0.1", "-p", "3000", "-w", "deploy/workspace.yaml"]

FROM base AS code
# lightgbm is linked against the system's OpenMP, which the slim image lacks. Debian keeps only the newest version of a package.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
# PyPI's torch for Linux brings 2 GB of CUDA. Without a GPU build with --build-arg TORCH_INDEX=<the index of CPU builds that
# PyTorch's install page names>. pip takes an empty variable for none.
ARG TORCH_INDEX=""
RUN PIP_INDEX_URL="${TORCH_INDEX}" pip install --constraint constraints.txt --no-deps torch \
    && pip install --constraint constraints.txt --editable '.[train,yahoo,aws,postgres,dask]'
COPY deploy deploy
COPY config config
COPY stockfc_assets stockfc_assets
RUN python -m compileall -q stockfc_assets && chown -R stockfc deploy
ENV DAGSTER_HOME=/app/deploy STOCKFC_DAGSTER_DIR=/logs STOCKFC_DATA=/data
USER 1000
EXPOSE 4000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["dagster", "api", "grpc-health-check", "-p", "4000"]
# gRPC has no login either: only a private network may reach it.
CMD ["dagster", "code-server", "start", "-h", "127.0.0.1", "-p", "4000", "-m", "stockfc_assets.definitions"]

FROM base AS api
RUN pip install --constraint constraints.txt --editable '.[serving,s3]'
COPY config config
COPY stockfc_assets stockfc_assets
RUN python -m compileall -q stockfc_assets
ENV STOCKFC_DATA=/data
USER 1000
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v1/health', timeout=8)"]
CMD ["stockfc", "serve", "--host", "127.0.0.1", "--port", "8000"]

# The tables of sessions that the function reads instead of the library, which brings pandas.
FROM control AS calendars
RUN python -m stockfc_assets.market.calendar_table /tmp/calendars

FROM base AS function
COPY deploy/function-requirements.txt deploy/function-requirements.txt
RUN pip install --constraint constraints.txt --requirement deploy/function-requirements.txt
COPY config config
COPY stockfc_assets stockfc_assets
COPY --from=calendars /tmp/calendars stockfc_assets/market/calendars
RUN python -m compileall -q stockfc_assets
# Lambda leaves only /tmp writable.
ENV STOCKFC_DATA=/tmp
USER 1000
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["stockfc_assets.serving.lambda_handler.handler"]
