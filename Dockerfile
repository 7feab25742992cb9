# syntax=docker/dockerfile:1
#
# ae with TensorFlow for CPUs:
#
#     docker build -t ae .
#     docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" ae train --data photos/
#
# On ARM, where there may be no tensorflow-cpu: docker build --build-arg TENSORFLOW=tensorflow -t ae .

FROM python:3.13-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY data data
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim-bookworm
ARG TENSORFLOW=tensorflow-cpu
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir /wheels/*.whl "keras>=3.15.1" "${TENSORFLOW}>=2.21,<2.22" \
    && useradd --create-home --uid 1000 ae \
    && install --directory --owner=ae --group=ae /work
# Whoever --user names can write there; what is decoded again and again, -v some/folder:/tmp/cache keeps.
ENV XDG_CACHE_HOME=/tmp/cache
USER 1000
WORKDIR /work
ENTRYPOINT ["ae"]
CMD ["--help"]
