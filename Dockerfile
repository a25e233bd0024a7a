# The program and its locked dependencies; data, studies and outputs come in as volumes.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# Not root; a fixed id, so that the owner of what it writes into a volume is known.
RUN useradd --uid 10001 --create-home study
WORKDIR /app

# The lock alone first: a change of the source does not install TensorFlow again.
COPY requirements.lock ./
RUN pip install --requirement requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY objectives ./objectives
COPY storage ./storage
COPY study ./study
RUN pip install --no-deps . && install -d -o study -g study /state /out

USER study
WORKDIR /state
ENTRYPOINT ["study"]
CMD ["--help"]
