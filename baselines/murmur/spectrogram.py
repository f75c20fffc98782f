"""Log-mel spectrograms of heart sounds, in numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.murmur.circor import RATE_HZ

LOWEST_HZ, HIGHEST_HZ = 25.0, 1000.0
"""Heart sounds and murmurs lie between; above is noise of the microphone."""
WINDOW_SECONDS = 0.05
FFT = 1024
"""Points of a transform, more than a window has: neighbouring mel bands differ at 25 Hz too."""
FLOOR_DB = 80.0
"""How far below the loudest a value can lie."""
Floats = NDArray[np.float32]


def mel(hertz: float | Floats) -> Floats:
    """Return frequencies on the mel scale (O'Shaughnessy, 1987)."""
    return np.asarray(2595 * np.log10(1 + np.asarray(hertz) / 700), np.float32)


def filters(bands: int) -> Floats:
    """Return triangles over the transform's frequencies, ``(bands, FFT / 2 + 1)``."""
    points = np.linspace(mel(LOWEST_HZ), mel(HIGHEST_HZ), bands + 2)
    place = mel(np.fft.rfftfreq(FFT, 1 / RATE_HZ).astype(np.float32))
    rise = (place - points[:-2, None]) / np.diff(points)[:-1, None]
    fall = (points[2:, None] - place) / np.diff(points)[1:, None]
    made: Floats = np.maximum(0, np.minimum(rise, fall)).astype(np.float32)
    return made


def log_mels(samples: NDArray[np.int16], bands: int, hop_ms: int) -> NDArray[np.float16]:
    """Return a recording's log-mel spectrogram ``(bands, frames)``, of mean 0 and deviation 1.

    Loudness says how a microphone was held: it is taken out.
    """
    hop, window = RATE_HZ * hop_ms // 1000, int(RATE_HZ * WINDOW_SECONDS)
    sound = np.pad(samples.astype(np.float32), window // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(sound, window)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(window).astype(np.float32), FFT)) ** 2
    bels = np.log10(np.maximum(filters(bands) @ power.T.astype(np.float32), 1e-3))
    bels = np.maximum(bels, bels.max() - FLOOR_DB / 10)
    deviation = bels.std() or 1.0
    made: NDArray[np.float16] = ((bels - bels.mean()) / deviation).astype(np.float16)
    return made
