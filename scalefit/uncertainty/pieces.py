"""Units of resampling: runs where there is one row per run, else pieces of a curve as long as its errors correlate.

Errors along a curve are correlated over different lengths: a smoothed training loss shares its noise over thousands of
steps, a validation loss on fresh tokens does not, and a law that is a little wrong is wrong for a whole run. The length
of a piece follows from the residuals:

    length = LONG (tau - 1), tau = 1 + 2 sum_k rho_k

with rho_k the autocorrelation of the residuals at lag k within runs, summed until a pair of neighbours is no longer
positive (Geyer 1992, doi:10.1214/ss/1177011137). Pieces of that length hold nearly all of the variance of the mean.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalefit.numerics import FloatArray, robust_sigma
from scalefit.rows.rows import Rows

LONG = 3.0  #: length of a piece in units of the correlation length
CLIP = 3.0  #: residuals are clipped at this many sigma
SIGNIFICANT = 5  #: digits from which on equal losses of equal settings are copies


def pieces(residuals: FloatArray, runs: NDArray[np.intp]) -> NDArray[np.intp]:
    """The number of each row's piece, (n,): its run, or a part of its run in the order of the rows.

    >>> pieces(np.random.default_rng(0).standard_normal(6), np.array([0, 0, 0, 1, 1, 1])).tolist()
    [0, 1, 2, 3, 4, 5]
    """
    count = np.bincount(runs)
    if count.max() == 1:
        return runs
    length = piece_length(residuals, runs)
    at = pd.Series(runs).groupby(runs).cumcount().to_numpy()  # each row's position in its run
    many = np.maximum(1, np.rint(count / length).astype(np.intp))  # pieces of each run, nearly equal ones
    first = np.cumsum(many) - many
    return np.asarray(first[runs] + at * many[runs] // count[runs])


def piece_length(residuals: FloatArray, runs: NDArray[np.intp]) -> float:
    """How many neighbouring rows make a piece."""
    sigma = robust_sigma(residuals)
    clipped = np.clip(residuals, -CLIP * sigma, CLIP * sigma) if sigma > 0 else residuals
    longest = int(np.bincount(runs).max())
    by_lag, total = np.zeros(longest), float(np.sum(clipped**2))
    if total == 0:
        return 1.0
    for code in range(int(runs.max()) + 1):
        mine = clipped[runs == code]
        spectrum = np.abs(np.fft.rfft(mine, 2 * len(mine))) ** 2
        by_lag[: len(mine)] += np.fft.irfft(spectrum)[: len(mine)]
    rho = by_lag[1:] / total
    pairs = rho[: len(rho) // 2 * 2].reshape(-1, 2).sum(axis=1)
    last = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)
    return float(min(max(1.0, LONG * 2 * pairs[:last].sum()), longest))


def independent(rows: Rows) -> NDArray[np.intp]:
    """The number of the independent run that each row belongs to: its own run, or that of the row it is a copy of."""
    own = rows.run_codes
    return distinct(rows) if int(own.max()) + 1 == len(rows) else own


def distinct(rows: Rows) -> NDArray[np.intp]:
    """A number for each row, the same for rows that are copies: equal in every variable and in the measured value.

    Two trainings never end at one loss to the last of many digits, so that a copied row is no new evidence. Rows of
    curves, and losses written with fewer than SIGNIFICANT digits, which may well agree by chance, all count.
    """
    assert rows.values is not None
    own = np.arange(len(rows), dtype=np.intp)
    if rows.in_curves or any(values.ndim > 1 for values in rows.variables.values()):
        return own
    columns = np.column_stack([rows.values, *rows.variables.values()])
    codes = np.unique(columns, axis=0, return_inverse=True)[1].ravel()
    short = np.array([len(f"{value:.12g}".replace(".", "").lstrip("-0")) < SIGNIFICANT for value in rows.values])
    codes[short] = codes.max() + 1 + own[short]
    return np.asarray(pd.factorize(codes)[0], dtype=np.intp)  # numbered as they appear
