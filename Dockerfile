# Two images from one file: `docker build --target gateway .` and `docker build --target transcriber .`; for the labels with
# `--build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$(date -u +%FT%TZ)"`.
# Each holds Python, what its lock names, and its own package: no pip, no compiler, nothing of the other.
# The same base image and the same sources make the same files; with SOURCE_DATE_EPOCH and a builder that writes it into
# the layers (`buildah --timestamp`, BuildKit's `rewrite-timestamp=true`) the same layers.

FROM docker.io/library/python:3.11-slim-bookworm AS build
# What is written here is bytecode too, since nothing can be on a read-only root. pip's own would hold the time of the build;
# unchecked-hash holds none.
RUN ["python", "-m", "venv", "--without-pip", "/opt/venv"]

FROM build AS build-gateway
COPY requirements/gateway.lock /tmp/
RUN ["python", "-m", "pip", "--python", "/opt/venv/bin/python", "install", "--no-cache-dir", "--disable-pip-version-check", \
     "--root-user-action=ignore", "--no-compile", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", "/tmp/gateway.lock"]
COPY deploy/healthcheck.py /app/
COPY openapi/gateway.yaml openapi/gateway.json openapi/gateway.html /app/openapi/
COPY gateway /app/gateway
RUN ["chmod", "-R", "u=rwX,go=rX", "/app"]
RUN ["python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "/opt/venv/lib", "/app"]

FROM build AS build-transcriber
COPY requirements/transcriber.lock /tmp/
RUN ["python", "-m", "pip", "--python", "/opt/venv/bin/python", "install", "--no-cache-dir", "--disable-pip-version-check", \
     "--root-user-action=ignore", "--no-compile", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", "/tmp/transcriber.lock"]
COPY deploy/healthcheck.py /app/
COPY openapi/transcriber.yaml openapi/transcriber.json openapi/transcriber.html /app/openapi/
COPY transcriber /app/transcriber
RUN ["chmod", "-R", "u=rwX,go=rX", "/app"]
RUN ["python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "/opt/venv/lib", "/app"]

FROM docker.io/library/python:3.11-slim-bookworm AS runtime
# The base image's own pip goes too, with what it brought: what is not there needs no updates. The user has a number and no
# name: an entry in /etc/shadow would carry the day of the build.
RUN rm -rf "$(python -c 'import os, pip; print(os.path.dirname(pip.__file__))')" /usr/local/lib/python3.*/site-packages/* \
      /usr/bin/pip* /usr/local/bin/pip* /usr/local/bin/wheel \
 && install --directory --owner=10001 --group=10001 /data
# SAFEPATH: code is imported from /app alone, never from the working directory, which the service can write to.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/nonexistent \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1
COPY --chmod=644 LICENSE NOTICE /usr/share/doc/app/
WORKDIR /data
VOLUME /data
USER 10001:10001

FROM runtime AS gateway
COPY --from=build-gateway /opt/venv /opt/venv
COPY --from=build-gateway /app /app
COPY --chmod=644 requirements/gateway.cdx.json /usr/share/doc/app/
ENV GATEWAY_STORE_URL=sqlite:////data/gateway.db
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-IS", "/app/healthcheck.py", "gateway", "8080"]
CMD ["python", "-m", "gateway", "serve"]
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="gateway" \
      org.opencontainers.image.description="A durable webhook gateway" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.licenses="Apache-2.0 AND BSD-3-Clause AND MIT AND MIT-0 AND MPL-2.0 AND BSD-2-Clause AND PSF-2.0"

FROM runtime AS transcriber
COPY --from=build-transcriber /opt/venv /opt/venv
COPY --from=build-transcriber /app /app
COPY --chmod=644 requirements/transcriber.cdx.json /usr/share/doc/app/
ENV TRANSCRIBER_HOST=0.0.0.0 \
    TRANSCRIBER_DATA_DIR=/data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-IS", "/app/healthcheck.py", "transcriber", "8000"]
CMD ["python", "-m", "transcriber", "serve"]
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
# Which part is under which: NOTICE. FFmpeg's build carries x264 and x265, so GPL terms apply to passing the image on.
LABEL org.opencontainers.image.title="transcriber" \
      org.opencontainers.image.description="A transcription job API" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.licenses="Apache-2.0 AND MIT AND BSD-3-Clause AND BSD-2-Clause AND BSD-3-Clause-Clear AND 0BSD AND Zlib AND CC0-1.0 AND MPL-2.0 AND PSF-2.0 AND LGPL-3.0-or-later AND LGPL-2.1-or-later AND LGPL-2.0-or-later AND GPL-2.0-or-later AND GPL-3.0-or-later WITH GCC-exception-3.1 AND LicenseRef-Intel-Simplified-Software-License"
