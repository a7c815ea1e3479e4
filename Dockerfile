# Two images from one file: `docker build --target gateway .` and `docker build --target transcriber .`.
# Each holds Python, what its lock names, and its own package: no pip, no compiler, nothing of the other.

FROM docker.io/library/python:3.11-slim-bookworm AS build
RUN ["python", "-m", "venv", "--without-pip", "/opt/venv"]

FROM build AS build-gateway
COPY requirements/gateway.lock /tmp/
RUN ["python", "-m", "pip", "--python", "/opt/venv/bin/python", "install", "--no-cache-dir", "--disable-pip-version-check", \
     "--root-user-action=ignore", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", "/tmp/gateway.lock"]

FROM build AS build-transcriber
COPY requirements/transcriber.lock /tmp/
RUN ["python", "-m", "pip", "--python", "/opt/venv/bin/python", "install", "--no-cache-dir", "--disable-pip-version-check", \
     "--root-user-action=ignore", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", "/tmp/transcriber.lock"]

FROM docker.io/library/python:3.11-slim-bookworm AS runtime
# The base image's own pip goes too: what is not there needs no updates.
RUN rm -rf "$(python -c 'import os, pip; print(os.path.dirname(pip.__file__))')" /usr/bin/pip* /usr/local/bin/pip* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app \
 && install --directory --owner=app --group=app /data
# SAFEPATH: code is imported from /app alone, never from the working directory, which the service can write to.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1
COPY LICENSE NOTICE /usr/share/doc/app/
WORKDIR /data
VOLUME /data
USER 10001:10001

FROM runtime AS gateway
LABEL org.opencontainers.image.title="gateway" \
      org.opencontainers.image.description="A durable webhook gateway" \
      org.opencontainers.image.licenses="Apache-2.0 AND BSD-3-Clause AND MIT AND MIT-0 AND MPL-2.0 AND BSD-2-Clause AND PSF-2.0"
COPY --from=build-gateway /opt/venv /opt/venv
COPY openapi/gateway.yaml openapi/gateway.json openapi/gateway.html /app/openapi/
COPY gateway /app/gateway
ENV GATEWAY_STORE_URL=sqlite:////data/gateway.db
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('GATEWAY_PORT', '8080')}/healthz\", timeout=4)"]
CMD ["python", "-m", "gateway", "serve"]

FROM runtime AS transcriber
# Which part is under which: NOTICE. FFmpeg's build carries x264 and x265, so GPL terms apply to passing the image on.
LABEL org.opencontainers.image.title="transcriber" \
      org.opencontainers.image.description="A transcription job API" \
      org.opencontainers.image.licenses="Apache-2.0 AND MIT AND BSD-3-Clause AND BSD-2-Clause AND BSD-3-Clause-Clear AND 0BSD AND Zlib AND CC0-1.0 AND MPL-2.0 AND PSF-2.0 AND LGPL-3.0-or-later AND LGPL-2.1-or-later AND LGPL-2.0-or-later AND GPL-2.0-or-later AND GPL-3.0-or-later WITH GCC-exception-3.1 AND LicenseRef-Intel-Simplified-Software-License"
COPY --from=build-transcriber /opt/venv /opt/venv
COPY openapi/transcriber.yaml openapi/transcriber.json openapi/transcriber.html /app/openapi/
COPY transcriber /app/transcriber
ENV TRANSCRIBER_HOST=0.0.0.0 \
    TRANSCRIBER_DATA_DIR=/data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('TRANSCRIBER_PORT', '8000')}/healthz\", timeout=4)"]
CMD ["python", "-m", "transcriber", "serve"]
