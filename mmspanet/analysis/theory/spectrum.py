"""The frequency response of an operator on a grid, in the 2-D DFT or a Laplacian's eigenbasis.

Two responses are distinguished, both ours. For a unit vector u of a frequency,

- the *gain* ``||M u||`` is all that comes out, at whatever frequency;
- the *diagonal* ``|u* M u|`` is what comes out at u itself, the part of M that is a filter.

For a convolution on a torus and DFT vectors both are ``|H(omega)|``. Attention also scatters u
into other frequencies, so its gain is larger than its diagonal.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from .grid import Array, Grid, ring_numbers, torus_eigenvalues, transfer_function


@dataclass(frozen=True)
class Response:
    """The response of one operator, or of a batch of them, over F frequencies.

    Attributes:
        frequency: (F,). In the DFT basis the distance from zero frequency in fractions of Nyquist
            (0 to sqrt(2)), in an eigenbasis lambda over the largest lambda (0 to 1).
        gain: (..., F), root mean square of ||M u|| over the unit vectors u of the frequency.
        diagonal: (..., F), absolute value of the mean of u* M u over them.
        multiplicity: (F,), how many vectors u each entry stands for.
    """

    frequency: Array
    gain: Array
    diagonal: Array
    multiplicity: Array

    def energy_above(self, frequency: float = 0.5) -> Array:
        """Fraction of the output energy, for white noise, above ``frequency``: (...)."""
        energy = self.gain**2 * self.multiplicity
        return energy[..., self.frequency > frequency].sum(axis=-1) / energy.sum(axis=-1)

    def high_pass_share(self, frequency: float = 0.5) -> Array:
        """Mean gain^2 above ``frequency``, divided by the sum of the means above and below: (...).

        1/2 for the identity, 0 for a perfect low-pass and 1 for a perfect high-pass, however many
        frequencies there are on either side. The low-pass share is 1 minus this.
        """
        above = self.frequency > frequency
        low, high = (
            np.average(self.gain[..., side] ** 2, axis=-1, weights=self.multiplicity[side])
            for side in (~above, above)
        )
        return high / (low + high)

    def high_frequency_gain(self, frequency: float = 0.5) -> Array:
        """Root mean square gain above ``frequency``, divided by the gain at zero frequency: (...).

        Unlike the shares it also falls with the window of random non-negative weights. It is 0
        for uniform attention, 1 for the identity, and infinite where zero frequency is removed.
        """
        above = self.frequency > frequency
        energy = np.average(self.gain[..., above] ** 2, axis=-1, weights=self.multiplicity[above])
        with np.errstate(divide='ignore'):
            return np.sqrt(energy) / self.gain[..., self.frequency == 0].mean(axis=-1)

    def centroid(self) -> Array:
        """The spectral centroid, the mean frequency weighted with the energy: (...)."""
        energy = self.gain**2 * self.multiplicity
        return energy @ self.frequency / energy.sum(axis=-1)

    def profile(self, bins: int) -> tuple[Array, Array]:
        """Compute the root mean square gain in rings of frequencies.

        Args:
            bins: Rings per unit of frequency; zero frequency has one of its own.

        Returns:
            Centers of the rings that hold frequencies, (R,), and gains, (..., R).
        """
        number, ring = np.unique(ring_numbers(self.frequency, bins), return_inverse=True)
        member = np.eye(len(number))[ring] * self.multiplicity[:, None]
        return number / bins, np.sqrt(self.gain**2 @ member / member.sum(axis=0))

    def relative(self) -> 'Response':
        """Scale the response so that white noise keeps its energy, as the identity does."""
        scale = np.sqrt(np.average(self.gain**2, axis=-1, weights=self.multiplicity))[..., None]
        return replace(self, gain=self.gain / scale, diagonal=self.diagonal / scale)

    def filter_part(self) -> 'Response':
        """Take the part that stays at its frequency, the diagonal, as a response of its own.

        In the DFT basis it is the response of the circular convolution nearest to the operator.
        """
        return replace(self, gain=self.diagonal)


def circulant_response(kernels: Array, grid: Grid) -> Response:
    """Compute the DFT response of (..., kh, kw) kernels on the torus, in O(N log N)."""
    return filter_response(np.abs(transfer_function(kernels, grid)), grid)


def filter_response(gain: Array, grid: Grid) -> Response:
    """Make the response of filters with the given gain, (..., H, W) in fftfreq order, >= 0."""
    flat = gain.reshape(*gain.shape[:-2], grid.nodes)
    return Response(grid.radial_frequency().ravel(), flat, flat, np.ones(grid.nodes))


def dft_response(matrix: Array, grid: Grid) -> Response:
    """Compute the DFT response of any operator on the grid, (N, N), in O(N^2 log N).

    The DFT vectors are eigenvectors on a torus only. For an operator of a bounded grid this is
    the response to plane waves that end at the border.
    """
    height, width = grid.height, grid.width
    y, x = np.divmod(np.arange(grid.nodes), width)
    wave_y = np.exp(2j * np.pi * np.outer(y, np.arange(height)) / height)
    wave_x = np.exp(2j * np.pi * np.outer(x, np.arange(width)) / width)
    energy = np.zeros((height, width))
    diagonal = np.zeros((height, width), complex)
    for start in range(0, grid.nodes, 256):  # bounds the memory
        rows = slice(start, start + 256)
        answers = np.fft.fft2(matrix[rows].reshape(-1, height, width))
        energy += (answers.real**2 + answers.imag**2).sum(axis=0)
        diagonal += np.einsum('pk,pl,pkl->kl', wave_y[rows], wave_x[rows], answers)
    return Response(
        frequency=grid.radial_frequency().ravel(),
        gain=np.sqrt(energy / grid.nodes).ravel(),
        diagonal=np.abs(diagonal / grid.nodes).ravel(),
        multiplicity=np.ones(grid.nodes),
    )


def eigenbasis_response(matrix: Array, laplacian: Array) -> Response:
    """Compute the response of any operator in a Laplacian's eigenbasis, both (N, N), in O(N^3).

    The eigenvectors of a repeated eigenvalue are not unique, so there is one entry per distinct
    eigenvalue: means over its eigenspace do not depend on the basis that the solver chose.
    """
    eigenvalues, vectors = scipy.linalg.eigh(laplacian)
    answers = matrix @ vectors
    energy = (answers**2).sum(axis=0)
    diagonal = (vectors * answers).sum(axis=0)
    return _by_eigenvalue(eigenvalues, energy, diagonal)


def circulant_eigenbasis_response(
    kernel: Array, stencil: Array, grid: Grid, normalized: bool = False
) -> Response:
    """:func:`eigenbasis_response` of a convolution on a torus, in O(N log N).

    Args:
        kernel: Of the convolution, (kh, kw).
        stencil: Edge weights of the graph, such as ``CROSS`` or ``window_stencil(k)``.
        grid: Its height and width count; the boundary is taken as periodic.
        normalized: Take the normalized Laplacian.
    """
    eigenvalues = torus_eigenvalues(stencil, grid, normalized).ravel()
    transfer = transfer_function(kernel, grid).ravel()
    order = np.argsort(eigenvalues)
    # H(-omega) is the conjugate and has the same eigenvalue: imaginary parts cancel.
    return _by_eigenvalue(eigenvalues[order], np.abs(transfer[order]) ** 2, transfer.real[order])


def _by_eigenvalue(eigenvalues: Array, energy: Array, diagonal: Array) -> Response:
    """Average over the entries of equal eigenvalues, which are sorted."""
    largest = eigenvalues[-1]
    first = np.flatnonzero(np.diff(eigenvalues, prepend=-np.inf) > 1e-9 * largest)
    multiplicity = np.diff(first, append=len(eigenvalues))
    means = [np.add.reduceat(v, first) / multiplicity for v in (eigenvalues, energy, diagonal)]
    return Response(
        frequency=means[0] / largest,
        gain=np.sqrt(means[1]),
        diagonal=np.abs(means[2]),
        multiplicity=multiplicity.astype(float),
    )
