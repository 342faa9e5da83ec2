"""What the tests of the theory share."""

import numpy as np
import scipy.fft
from hypothesis import settings
from hypothesis import strategies as st

from mmspanet.analysis.theory.grid import Grid

QUICK = settings(max_examples=25, deadline=None)

TORUS = Grid(6, 9, periodic=True)
BOUNDED = Grid(6, 9, periodic=False)

grids = st.builds(Grid, st.integers(3, 7), st.integers(3, 7), st.booleans())
odd = st.sampled_from([1, 3, 5, 7])
seeds = st.integers(0, 2**32 - 1)


def kernel_of(seed, height, width):
    return np.random.default_rng(seed).standard_normal((height, width))


def dft_vectors(grid):
    """Unit-norm DFT vectors as columns, (N, N)."""
    y, x = (scipy.fft.fft(np.eye(n), norm='ortho').conj() for n in (grid.height, grid.width))
    return np.kron(y, x)


def assert_rows_are_the_lines(drawing, *columns):
    """Check that the rows hold every point of every curve, and nothing else."""
    drawn = sorted(
        float(y)
        for axes in drawing.figure.axes
        for line in axes.lines
        if line.get_linestyle() != '--'  # the identity
        for y in line.get_ydata()
    )
    given = [float(row[c]) for row in drawing.rows for c in columns if row[c] != '']
    np.testing.assert_allclose(drawn, sorted(v for v in given if not np.isnan(v)))
