# The program with its locked dependencies; data, studies and outputs come in as volumes.
# `--build-arg REQUIREMENTS=requirements-gpu.lock` makes the image for NVIDIA GPUs.
# `--build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...` names its base by digest, which an
# engine that is offline, or has an image of its own under the tag, could not do.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN apt-get update && apt-get install --yes --no-install-recommends binutils \
    && python -m venv --without-pip /opt/venv
# The lock alone first: a change of the source does not install TensorFlow again. Wheels alone: no
# compiler is needed. What no running program reads goes at once: C++ headers, libclang, tests, and
# the symbols of TensorFlow's libraries, which are a sixth of it.
ARG REQUIREMENTS=requirements.lock
COPY ${REQUIREMENTS} /tmp/
RUN pip --python /opt/venv/bin/python install --only-binary :all: --require-hashes --requirement "/tmp/${REQUIREMENTS}" \
    && cd /opt/venv/lib/python3.11/site-packages \
    && rm -rf tensorflow/include clang \
    && strip --strip-unneeded tensorflow/libtensorflow_*.so.2 \
    && find . -depth -type d -name tests -exec rm -rf {} +

# Our own packages, built with the lock's setuptools: this step needs no network.
FROM packages AS program
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY objectives ./objectives
COPY storage ./storage
COPY study ./study
RUN pip --python /opt/venv/bin/python install --no-deps --no-build-isolation --prefix /opt/program .

FROM ${PYTHON_IMAGE}
# A fixed id, so that the owner of what is written into a volume is known.
RUN useradd --uid 10001 --create-home study \
    && install -d -m 2775 -o study -g study /state /state/cache /state/tmp /out \
    && install -d -m 1777 /tmp/slot-study-gpus
# TMPDIR has the lock of a trial that wants its device alone: all containers of a stack share it.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 KERAS_HOME=/tmp/keras \
    STUDY_CACHE=/state/cache TMPDIR=/state/tmp
COPY --from=packages /opt/venv /opt/venv
COPY --from=program /opt/program /opt/venv
COPY --chmod=0755 docker/worker docker/healthy docker/as-owner /usr/local/bin/
USER study
WORKDIR /state
# The first SIGTERM drains: the epoch ends, the slot is given back.
STOPSIGNAL SIGTERM
# Of a worker; the other services have their own, or none. A look costs a second of one core.
HEALTHCHECK --interval=2m --timeout=30s --start-period=1m --retries=3 CMD ["healthy"]
ENTRYPOINT ["study"]
CMD ["--help"]
