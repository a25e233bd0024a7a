"""In which order an epoch sees its rows."""

import numpy as np
from numpy.typing import NDArray


def epoch_order(n_rows: int, seed: int, epoch: int, n_drawn: int) -> NDArray[np.int64]:
    """Return the positions of the rows of one epoch, in order: a pure function of its arguments.

    Each row once, then from the front again until the last batch is full.

    Returns:
        int64 of shape (n_drawn,), 0 <= position < n_rows.
    """
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))
    return np.resize(generator.permutation(n_rows), n_drawn)
