"""The conditions under which the training tests train: precision, threads, seeds.

No test may rest on what a network happens to reach on one machine's kernels. Another machine is not
at hand, but these three change what every network reaches. The options of pytest that set them are
in `tests/conftest.py`. They come as environment variables, because several processes train.
"""

import os

PRECISION = os.environ.get("STUDY_TEST_PRECISION", "float32")
THREADS = int(os.environ.get("STUDY_TEST_THREADS", "1"))
SEED = int(os.environ.get("STUDY_TEST_SEED", "0"))

OTHER_PRECISION = "float32" if PRECISION == "bfloat16" else "bfloat16"


def seeded(number: int) -> int:
    """Return the seed of a training that has this one by default."""
    return number + SEED


def study_variables() -> dict[str, str]:
    """Return what commands of the program are told; nothing of what was not asked for."""
    names = ("PRECISION", "THREADS", "SEED")
    told = {f"STUDY_{name}": os.environ.get(f"STUDY_TEST_{name}") for name in names}
    return {name: value for name, value in told.items() if value is not None}
