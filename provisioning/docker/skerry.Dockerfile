# Both programs from one recipe: `--build-arg PROGRAM=edge` or `control`. The final image has no build tools.
# `--build-arg CODECS=1` adds the decoders of JPEG, JPEG-LS and JPEG 2000 for `syntax: decompress` (40 MB).
FROM python:3.11-slim-bookworm AS build
ARG PROGRAM
ARG CODECS=
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv /opt/skerry \
 && /opt/skerry/bin/pip install --no-cache-dir --require-hashes -r requirements/${PROGRAM}.txt ${CODECS:+-r requirements/codecs.txt}
COPY pyproject.toml README.md LICENSE ./
COPY edge/ edge/
COPY control/ control/
COPY proto/ proto/
COPY provisioning/ provisioning/
COPY haproxy/ haproxy/
COPY tui/ tui/
RUN pip install --no-cache-dir --target /tmp/tools hatchling==1.33.0 \
 && PYTHONPATH=/tmp/tools python -m hatchling build -t wheel -d /tmp/wheel \
 && /opt/skerry/bin/pip install --no-cache-dir --no-deps /tmp/wheel/*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Skerry" \
      org.opencontainers.image.description="An edge mesh for medical images" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin skerry \
 && install -d -o 10001 -g 10001 -m 0700 /data /certificates /tokens
COPY --from=build /opt/skerry /opt/skerry
COPY provisioning/docker/edge-start.sh provisioning/docker/first-setup.sh /usr/local/bin/
ENV PATH=/opt/skerry/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME ["/data"]
