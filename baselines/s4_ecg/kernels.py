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
from typing import NamedTuple

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
        """Return ``(2, H, L)``, of some channels at a time so that caches hold the resolvents."""
        angle = torch.arange(self.length // 2 + 1, device=self.c.device, dtype=torch.float64)
        angle *= math.pi / self.length
        turn = torch.polar(torch.ones_like(angle), angle).to(self.c.dtype.to_complex())
        sine, cosine = angle.sin(), angle.cos()
        if self.length % 2 == 0:
            cosine[-1] = 0.0
        fixed, trained = self._numerators()
        parts = []
        for start in range(0, len(trained), CHUNK):
            rows = slice(start, start + CHUNK)
            with torch.no_grad():
                dt = self.dt[rows, None, None]
                resolvents = Resolvents.at(sine, cosine, self.eigenvalues, dt, self.c.dtype)
                scale = (dt * cosine).to(self.c.dtype)
                one, other = resolvents.sums(fixed.expand(len(scale), -1, -1)).chunk(2, dim=1)
                feedback = scale * one / (1 + scale * other) * turn
            direct, fed = resolvents.sums(trained[rows]).chunk(2, dim=1)
            parts.append(direct * turn - fed * feedback)
        step = self.dt.to(self.c.dtype)[:, None, None]
        kernel: Tensor = torch.fft.irfft(torch.cat(parts), n=self.length) * step
        return kernel.transpose(0, 1)

    def _numerators(self) -> tuple[Tensor, Tensor]:
        """Return those of the sums p b and p p ``(4, N/2)``, and c b and c p ``(H, 8, N/2)``."""
        kind = self.c.dtype.to_complex()
        b, p, turn = self.b.to(kind), self.p.to(kind), self.eigenvalues.conj().to(kind)
        c = torch.view_as_complex(self.c).transpose(0, 1)
        pairs = torch.stack((p.conj() * b, p.conj() * p)), torch.cat((c * b, c * p), dim=1)
        fixed, trained = (torch.cat((n.real, (n * turn).real), dim=-2) for n in pairs)
        return fixed, trained


class Resolvents(NamedTuple):
    """R = (2i sine - dt cosine diag(eigenvalues))^-1 over all N eigenvalues, of some channels.

    A conjugate pair n / (z - l) + n* / (z - l*) is one fraction, 2 (Re(n) z - Re(n l*)) / (z^2 - 2
    Re(l) z + |l|^2), whose sums over the pairs are products of real matrices. The real part of its
    denominator is a difference of near numbers at resonance, so it is taken in float64.
    """

    real: Tensor
    """Of the denominators' reciprocals, ``(H, N/2, points)``; their imaginary part is"""
    inverse: Tensor
    """this, ``(H, N/2, points)``, times minus"""
    imaginary: Tensor
    """``(H, 1, points)``."""
    z: Tensor
    """Twice 2 sine, ``(points,)``."""
    scale: Tensor
    """Twice dt cosine, ``(H, 1, points)``."""

    @classmethod
    def at(
        cls, sine: Tensor, cosine: Tensor, eigenvalues: Tensor, dt: Tensor, kind: torch.dtype
    ) -> Resolvents:
        """Return them at points of the unit circle, for step sizes ``(H, 1, 1)``."""
        reach = dt * eigenvalues.abs()[:, None] * cosine
        real = (reach - 2 * sine).mul_(reach.add_(2 * sine)).to(kind)
        imaginary = (2 * dt * sine * cosine).to(kind)
        inverse = real.square().add_(imaginary.square()).reciprocal_()
        z, scale = (4 * sine).to(kind), (2 * dt * cosine).to(kind)
        return cls(real.mul_(inverse), inverse, imaginary, z, scale)

    def sums(self, numerators: Tensor) -> Tensor:
        """Return k sums x* R y ``(H, k, points)`` of Re(n), then Re(n l*), ``(H, 2k, N/2)``."""
        one, other = torch.bmm(numerators, self.real).chunk(2, dim=1)
        imaginary = torch.bmm(numerators, self.inverse) * self.imaginary
        first, second = imaginary.chunk(2, dim=1)
        return torch.complex(
            self.z * first - self.scale * other, self.z * one + self.scale * second
        )


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
