"""State-space kernels: HiPPO-LegS with its low-rank term (`nplr`), and diagonal (`s4d`).

A kernel module holds the complex output weights C as real numbers ``(2, H, N/2, 2)`` (one row for
each direction in time, one of every conjugate pair) and fixed step sizes dt ``(H,)``; its forward
returns the impulse responses ``(2, H, L)`` of H systems x' = A x + B u, y = C x. Only C trains.

Sources: Gu et al., "Efficiently Modeling Long Sequences with Structured State Spaces", ICLR 2022
(NPLR, bilinear transform, the generating function at the roots of unity); Gu et al., "On the
Parameterization and Initialization of Diagonal State Space Models", NeurIPS 2022 (S4D, ZOH).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SHORTEST_STEP, LONGEST_STEP = 1e-3, 1e-1
"""Range of dt, drawn log-uniformly: systems that remember from about 10 to 1000 samples."""
STRIDE = 32
"""Powers of the diagonal system are products of two tables: of i * STRIDE and of j < STRIDE."""
CHUNK = 16
"""Channels whose resolvents are taken at a time."""
DECAY = 0.5
"""Minus the real part of every eigenvalue of HiPPO-LegS' normal part."""


@dataclass(frozen=True, slots=True)
class Hippo:
    """HiPPO-LegS in float64: A = V diag(-1/2 + i w) V* - P P^T, one of each conjugate pair."""

    a: Tensor
    """The state matrix ``(N, N)``."""
    b: Tensor
    """The input vector ``(N,)``."""
    p: Tensor
    """The low-rank vector ``(N,)``."""
    basis: Tensor
    """Eigenvectors ``(N, N/2)``, complex, of the pairs' members with w > 0."""
    frequencies: Tensor
    """w ``(N/2,)``."""


def hippo(state: int) -> Hippo:
    """Return HiPPO-LegS of an even number of states."""
    n = torch.arange(state, dtype=torch.float64)
    root = torch.sqrt(2 * n + 1)
    a = -torch.tril(root[:, None] * root, -1) - torch.diag(n + 1)
    p = torch.sqrt(n + 0.5)
    skew = a + p[:, None] * p + DECAY * torch.eye(state, dtype=torch.float64)
    frequencies, basis = torch.linalg.eigh(-1j * skew)
    half = state // 2
    return Hippo(a, root, p, basis[:, half:], frequencies[half:])


class Kernel(nn.Module):
    """What both kernels share: C, dt and the eigenvalues' frequencies."""

    frequencies: Tensor
    log_dt: Tensor

    def __init__(self, channels: int, length: int, system: Hippo) -> None:
        super().__init__()
        self.length = length
        half = len(system.frequencies)
        low, high = math.log(SHORTEST_STEP), math.log(LONGEST_STEP)
        self.register_buffer("log_dt", torch.rand(channels) * (high - low) + low)
        self.register_buffer("frequencies", system.frequencies, persistent=False)
        drawn = torch.randn(2, channels, half, dtype=torch.complex64)
        self.c = nn.Parameter(torch.view_as_real(self._prepared(drawn, system)).clone())

    def _prepared(self, c: Tensor, system: Hippo) -> Tensor:
        """Return the form in which C is kept."""
        return c

    @property
    def dt(self) -> Tensor:
        """Return the step sizes ``(H,)`` in float64."""
        return self.log_dt.double().exp()

    @property
    def eigenvalues(self) -> Tensor:
        """Return the pairs' members with positive frequency, ``(N/2,)``, complex128."""
        w = self.frequencies.double()
        return torch.complex(torch.full_like(w, -DECAY), w)


class DiagonalKernel(Kernel):
    """`s4d`: A = diag(-1/2 + i w) with B = 1, discretised by zero-order hold."""

    def forward(self) -> Tensor:
        """Return ``(2, H, L)``: 2 Re sum of C B' A'^l, with A'^l from two tables of powers.

        The tables are made in float64: phases reach 10^5 radians, where float32 has no digits left.
        """
        with torch.no_grad():
            a, dt = self.eigenvalues, self.dt
            base = torch.exp(dt[:, None] * a)
            kind = self.c.dtype.to_complex()
            fine = powers(base, STRIDE).to(kind)
            coarse = powers(base**STRIDE, -(-self.length // STRIDE)) * ((base - 1) / a)[:, None]
            right = torch.cat((fine.real, -fine.imag), dim=2).transpose(1, 2)
        c = torch.view_as_complex(self.c).transpose(0, 1)
        left = c[:, :, None] * coarse.to(kind)[:, None]  # (H, 2, i, N/2)
        rows = torch.cat((left.real, left.imag), dim=3).flatten(1, 2)
        made = 2 * torch.bmm(rows, right)  # (H, 2 i, j)
        both = made.view(len(c), 2, -1)[..., : self.length]
        return both.transpose(0, 1)


class LowRankKernel(Kernel):
    """`nplr`: A of HiPPO-LegS, discretised by the bilinear transform.

    Kept is C (I - A'^L): with it the generating function of the first L samples is a resolvent,
    taken at the L-th roots of unity and transformed back. Exact, whatever comes after sample L.
    """

    b: Tensor
    p: Tensor

    def __init__(self, channels: int, length: int, system: Hippo) -> None:
        super().__init__(channels, length, system)
        conjugate = system.basis.mH
        for name, vector in (("b", system.b), ("p", system.p)):
            self.register_buffer(name, conjugate @ vector.to(conjugate.dtype), persistent=False)

    def _prepared(self, c: Tensor, system: Hippo) -> Tensor:
        basis = system.basis.to(c.dtype)
        row = 2 * (c @ basis.mH).real.transpose(0, 1)  # (H, 2, N): in the real basis
        power = torch.linalg.matrix_power(discretised(system.a, self.dt).float(), self.length)
        kept: Tensor = (row - row @ power).to(c.dtype) @ basis
        return kept.transpose(0, 1)

    def forward(self) -> Tensor:
        """Return ``(2, H, L)``."""
        points = self.length // 2 + 1
        with torch.no_grad():
            angle = torch.arange(points, device=self.c.device, dtype=torch.float64)
            angle *= math.pi / self.length
            turn = torch.polar(torch.ones_like(angle), angle).to(self.c.dtype.to_complex())
        sine, cosine = angle.sin(), angle.cos()
        if self.length % 2 == 0:
            cosine[-1] = 0.0
        sums = self._resolvents(sine, cosine)  # (H, 6, points)
        scale = (self.dt[:, None] * cosine).to(self.c.dtype)
        feedback = scale * sums[:, 4] / (1 + scale * sums[:, 5])
        response = (sums[:, :2] - sums[:, 2:4] * feedback[:, None]) * turn
        step = self.dt.to(self.c.dtype)[:, None, None]
        kernel: Tensor = torch.fft.irfft(response, n=self.length) * step
        return kernel.transpose(0, 1)

    def _resolvents(self, sine: Tensor, cosine: Tensor) -> Tensor:
        """Return x* R y of the pairs c b (twice), c p (twice), p b, p p: ``(H, 6, points)``.

        R = (2i sine - dt cosine diag(eigenvalues))^-1 over all N eigenvalues. A conjugate pair
        n / (z - l) + n* / (z - l*) is one fraction, 2 (Re(n) z - Re(n l*)) / (z^2 - 2 Re(l) z +
        |l|^2), whose sums over the pairs are products of real matrices. The real part of its
        denominator is a difference of near numbers at resonance, so it is taken in float64.
        """
        kind, dt = self.c.dtype, self.dt[:, None]
        numerators = self._numerators()  # (H, 12, N/2)
        parts = []
        for start in range(0, len(dt), CHUNK):  # so that caches hold it
            rows = slice(start, start + CHUNK)
            with torch.no_grad():
                reach = (dt[rows] * self.eigenvalues.abs())[:, :, None] * cosine
                real = (reach - 2 * sine).mul_(reach.add_(2 * sine)).to(kind)
                imaginary = (2 * dt[rows, :, None] * sine * cosine).to(kind)
                inverse = real.square().add_(imaginary.square()).reciprocal_()
            over_real = torch.bmm(numerators[rows], real.mul_(inverse))
            over_imaginary = torch.bmm(numerators[rows], inverse) * imaginary
            parts.append(torch.complex(over_real, -over_imaginary))
        first, second = torch.cat(parts).chunk(2, dim=1)
        z = torch.complex(torch.zeros_like(sine), 2 * sine).to(first.dtype)
        sums: Tensor = 2 * (z * first - (dt * cosine).to(kind)[:, None] * second)
        return sums

    def _numerators(self) -> Tensor:
        """Return Re(n), then Re(n l*), for the six sums: ``(H, 12, N/2)``."""
        kind = self.c.dtype.to_complex()
        b, p = self.b.to(kind), self.p.to(kind)
        c = torch.view_as_complex(self.c).transpose(0, 1)
        fixed = torch.stack((p.conj() * b, p.conj() * p)).expand(len(c), 2, -1)
        n = torch.cat((c * b, c * p, fixed), dim=1)
        turned: Tensor = n * self.eigenvalues.conj().to(kind)
        made: Tensor = torch.cat((n.real, turned.real), dim=1)
        return made


def discretised(a: Tensor, dt: Tensor) -> Tensor:
    """Return the bilinear transform ``(H, N, N)`` of a state matrix for each step size."""
    one = torch.eye(len(a), dtype=a.dtype, device=a.device)
    half = dt[:, None, None] / 2 * a
    made: Tensor = torch.linalg.solve(one - half, one + half)
    return made


def powers(base: Tensor, count: int) -> Tensor:
    """Return base^0 ... base^(count - 1) of ``(H, N)`` as ``(H, count, N)``, by doubling."""
    made, step = torch.ones_like(base)[:, None], base[:, None]
    while made.shape[1] < count:
        made, step = torch.cat((made, made * step), dim=1), step * step
    return made[:, :count]


KERNELS: dict[str, type[Kernel]] = {"nplr": LowRankKernel, "s4d": DiagonalKernel}
