# Two images from one file:
#   docker build --target code --tag stockfc-code .        the code location: trains and forecasts (with torch)
#   docker build --target control --tag stockfc-control .  web server and daemon (without torch)
FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 DAGSTER_HOME=/data/dagster STOCKFC_DATA=/data
RUN useradd --create-home --uid 1000 stockfc && mkdir -p /app /data/dagster && chown -R stockfc /app /data
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY stockfc_assets stockfc_assets
COPY config config
COPY dagster.yaml workspace.yaml ./
RUN sed 's#base_dir: data/dagster#base_dir: /data/dagster#' dagster.yaml > /data/dagster/dagster.yaml

FROM base AS control
RUN pip install --constraint constraints.txt --editable '.[web]'
USER stockfc
EXPOSE 3000
HEALTHCHECK CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/server_info')"
# Loopback inside the container unless told otherwise: put authentication before it, then set the host.
CMD ["dagster-webserver", "-h", "127.0.0.1", "-p", "3000", "-w", "workspace.yaml"]

FROM base AS code
# lightgbm is linked against the system's OpenMP, which the slim image lacks.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN pip install --constraint constraints.txt --editable '.[train,yahoo]'
USER stockfc
EXPOSE 4000
HEALTHCHECK CMD dagster api grpc-health-check -p 4000
CMD ["dagster", "code-server", "start", "-h", "127.0.0.1", "-p", "4000", "-m", "stockfc_assets.definitions"]
