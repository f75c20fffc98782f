"""Reading patients and keeping their spectrograms: one line for each way of being bad."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import wavfile

from baselines.murmur import MurmurSettings
from baselines.murmur.circor import MURMUR, CirCor, Patient, header, recording
from baselines.murmur.sources import place, resolve, spectrograms
from baselines.murmur.spectrogram import FFT, LOWEST_HZ, filters, log_mels
from baselines.murmur.stored import Spectrograms, write
from baselines.murmur.synthetic import Synthetic
from bench.errors import BenchError
from tests.heart_records import sound, write_patient, write_patients


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_patients(tmp_path / "patients", 6)


def made(where: Path, **settings: Any) -> Spectrograms:
    return spectrograms(MurmurSettings(dataset=str(where), **settings))[0]


def test_a_patient_is_read_with_labels_and_recordings(folder: Path) -> None:
    first = next(iter(CirCor(folder, "x", False).patients()))
    assert isinstance(first, Patient)
    assert (first.name, first.person, MURMUR[first.murmur]) == ("100", "100", "Present")
    assert [r.location for r in first.recordings] == ["AV", "MV"]
    assert np.array_equal(first.recordings[1].samples, sound("100MV", 2.0))


def test_one_person_under_two_names_is_one_person(tmp_path: Path) -> None:
    write_patient(tmp_path, "68487", other="50233")
    write_patient(tmp_path, "50233", other="68487")
    people = {header(tmp_path / f"{name}.txt").person for name in ("68487", "50233")}
    assert people == {"50233"}


def test_real_patients_are_all_read(circor: Path) -> None:
    found = spectrograms(MurmurSettings(dataset="circor", data_dir=circor))[0]
    assert (len(found.names), len(found.owners)) == (80, 263)
    assert np.bincount(found.murmur).tolist() == [33, 13, 34]
    assert np.bincount(found.outcome).tolist() == [51, 29]
    assert len({*found.people}) == 79


def test_the_folder_is_found_from_above_and_from_inside(tmp_path: Path) -> None:
    inside = tmp_path / "circor" / "training_data"
    inside.mkdir(parents=True)
    write_patients(inside, 3)
    for given in (tmp_path, tmp_path / "circor", inside):
        assert place("circor", given) == inside
        assert resolve(None, given) == ("circor", ())


def test_without_data_the_synthetic_set_is_named_as_such() -> None:
    name, notices = resolve(None, None)
    assert name == "synthetic"
    assert "synthetic heart sounds" in notices[0]


def test_a_set_that_is_asked_for_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no patients \(ID.txt\)"):
        resolve("circor", tmp_path)
    with pytest.raises(BenchError, match='no data set "circle"'):
        resolve("circle", tmp_path)


def cut(folder: Path) -> None:
    file = folder / "102_MV.wav"
    file.write_bytes(file.read_bytes()[:5000])


def at_8_kilohertz(folder: Path) -> None:
    wavfile.write(folder / "102_MV.wav", 8000, sound("x", 2))


def in_stereo(folder: Path) -> None:
    wavfile.write(folder / "102_MV.wav", 4000, np.stack([sound("x", 2)] * 2, 1))


def silent(folder: Path) -> None:
    wavfile.write(folder / "102_MV.wav", 4000, np.zeros(8000, np.int16))


def one_too_many(folder: Path) -> None:
    wavfile.write(folder / "102_TV.wav", 4000, sound("x", 2))


def of_nobody(folder: Path) -> None:
    wavfile.write(folder / "999_TV.wav", 4000, sound("x", 2))


def wav(
    chunks: list[tuple[bytes, bytes]], size: int | None = None, order: str = "<", cut: int = 0
) -> Callable[[Path], object]:
    """Return what writes 102_MV.wav of these chunks, the last one `cut` bytes short."""
    body = b"WAVE" + b"".join(struct.pack(f"{order}4sI", n, len(c)) + c for n, c in chunks)
    body = body[: len(body) - cut]
    said = len(body) if size is None else size
    head = struct.pack(f"{order}4sI", {"<": b"RIFF", ">": b"RIFX"}[order], said)
    return lambda folder: (folder / "102_MV.wav").write_bytes(head + body)


def form(
    bits: int = 16, code: int = 1, order: str = "<", extra: bytes = b""
) -> tuple[bytes, bytes]:
    fields = (code, 1, 4000, 4000 * bits // 8, bits // 8, bits)
    return b"fmt ", struct.pack(f"{order}HHIIHH", *fields) + extra


SOUND = sound("x", 2)
PCM = bytes([1, 0, 0, 0, 0, 0, 16, 0, 128, 0, 0, 170, 0, 56, 155, 113])
"""The sub-format of an extensible header that means integers."""
EXTENSIBLE = form(code=65534, extra=struct.pack("<HHI", 22, 16, 4) + PCM)
DATA = (b"data", SOUND.tobytes())


@pytest.mark.parametrize(
    "write",
    [
        wav([form(), DATA]),
        wav([EXTENSIBLE, DATA]),
        wav([(b"LIST", b"INFOabcd"), form(), DATA, (b"id3 ", b"xx")]),
        wav([form(order=">"), (b"data", SOUND.astype(">i2").tobytes())], order=">"),
    ],
)
def test_sounds_of_16_bits_are_read_whatever_their_header(folder: Path, write: Any) -> None:
    write(folder)
    read = recording(folder / "102.txt", folder / "102_MV.wav")
    assert read.dtype == np.int16
    assert np.array_equal(read, SOUND)


Case = tuple[Callable[[Path], object], int, int]
BAD: dict[str, Case] = {
    "102_MV.wav is cut off: 5,000 of 16,044 bytes": (cut, 6, 11),
    "102_MV.wav is cut off: 9,044 of 16,044 bytes": (wav([form(), DATA], cut=7000), 6, 11),
    "102_MV.wav announces 8 bytes in all and more": (wav([form(), DATA], size=0), 6, 11),
    "102_MV.wav doesn't say how long it is": (wav([form(), DATA], size=2**32 - 1), 6, 11),
    "102_MV.wav holds no sound (no data chunk)": (wav([form()]), 6, 11),
    "102_MV.wav is not mono of 16 bits (uint8, 1 channels)": (wav([form(8), DATA]), 6, 11),
    "102_MV.wav is not mono of 16 bits (int32, 1 channels)": (
        wav([form(24), (b"data", SOUND.tobytes()[:15996])]), 6, 11,
    ),
    "102_MV.wav is not mono of 16 bits (float32, 1 channels)": (wav([form(32, 3), DATA]), 6, 11),
    "102_MV.wav is of 8000 Hz, not 4000": (at_8_kilohertz, 6, 11),
    "102_MV.wav is not mono of 16 bits (int16, 2 channels)": (in_stereo, 6, 11),
    "102_MV.wav holds no sound (2.0 s, or silence)": (silent, 6, 11),
    "102_MV.wav is missing although 102.txt names it": (
        lambda f: (f / "102_MV.wav").unlink(), 6, 11,
    ),
    "102_MV.wav can't be read": (lambda f: (f / "102_MV.wav").write_bytes(b"no sound"), 6, 11),
    "102_TV.wav is one recording too many: 102.txt doesn't name it": (one_too_many, 6, 12),
    "999_TV.wav is one recording too many: it is nobody's": (of_nobody, 6, 12),
    "102.txt has no label Murmur": (lambda f: write_patient(f, "102", murmur=None), 5, 10),
    "102.txt has no label Outcome": (lambda f: write_patient(f, "102", outcome="nan"), 5, 10),
    '102.txt has "Loud" for Murmur': (lambda f: write_patient(f, "102", murmur="Loud"), 5, 10),
    "102.txt is of 2000 Hz, not 4000": (lambda f: write_patient(f, "102", rate=2000), 5, 10),
    "102.txt can't be read as a patient": (lambda f: (f / "102.txt").write_text(""), 5, 10),
}  # fmt: skip


@pytest.mark.parametrize("said", BAD)
def test_a_bad_file_is_one_line_that_names_it(folder: Path, said: str) -> None:
    BAD[said][0](folder)
    with pytest.raises(BenchError) as caught:
        made(folder)
    assert said in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "--skip-bad" in str(caught.value)


@pytest.mark.parametrize("said", BAD)
def test_a_bad_file_can_be_skipped_and_is_counted(folder: Path, said: str) -> None:
    change, patients, recordings = BAD[said]
    change(folder)
    found = made(folder, skip_bad=True)
    assert (len(found.names), len(found.owners)) == (patients, recordings)
    assert len(found.skipped) == 1
    assert said in found.skipped[0]


def test_what_was_skipped_once_is_not_silently_left_out_later(folder: Path) -> None:
    cut(folder)
    made(folder, skip_bad=True)
    with pytest.raises(BenchError, match="cut off"):
        made(folder)


def test_hidden_files_are_passed_over_and_names_may_be_in_capitals(folder: Path) -> None:
    before = made(folder)
    (folder / "._102.txt").write_bytes(b"\0\5\x16\7")
    (folder / "._102_MV.wav").write_bytes(b"\0\5\x16\7")
    (folder / "102_MV.wav").rename(folder / "102_MV.WAV")
    text = (folder / "102.txt").read_text().replace("\n", "\r\n")
    (folder / "102.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    after = made(folder)
    assert after.sha256 == before.sha256
    assert after.skipped == ()


def test_a_patient_without_any_good_recording_is_left_out(folder: Path) -> None:
    for place_ in ("AV", "MV"):
        (folder / f"102_{place_}.wav").unlink()
    found = made(folder, skip_bad=True)
    assert len(found.skipped) == 2
    assert "102" not in found.names


def test_spectrograms_are_made_once_and_again_when_a_file_changes(folder: Path) -> None:
    settings = MurmurSettings(dataset=str(folder))
    first, news = spectrograms(settings)
    assert len(news) == 1
    assert first.frames.dtype == np.float16
    assert spectrograms(settings)[1] == ()
    time.sleep(0.01)
    write_patient(folder, "107")
    second, news = spectrograms(settings)
    assert len(news) == 1
    assert (len(first.names), len(second.names)) == (6, 7)
    assert first.sha256 != second.sha256


def test_the_data_s_hash_covers_who_took_part_twice(folder: Path) -> None:
    settings = MurmurSettings(dataset=str(folder))
    before, _ = spectrograms(settings)
    write_patient(folder, "100", "Present", "Abnormal", other="101")
    write_patient(folder, "101", "Absent", "Abnormal", other="100")
    after, _ = spectrograms(settings)
    assert after.people[0] == after.people[1] != before.people[1]
    assert after.sha256 != before.sha256


def test_a_file_that_was_cut_off_is_made_again(folder: Path) -> None:
    settings = MurmurSettings(dataset=str(folder))
    first, (news,) = spectrograms(settings)
    path = Path(news.rpartition(": ")[2])
    os.truncate(path, path.stat().st_size // 2)
    again, news_again = spectrograms(settings)
    assert len(news_again) == 1
    assert again.sha256 == first.sha256


def test_making_that_fails_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    cut(folder)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(BenchError):
        write(CirCor(folder, "x", False), 16, 20, out / "x.npz")
    assert list(out.iterdir()) == []


def test_a_tone_is_loudest_in_its_mel_band() -> None:
    seconds = np.arange(8000) / 4000
    for hertz in (60, 250, 800):
        tone = (8000 * np.sin(2 * np.pi * hertz * seconds)).astype(np.int16)
        loudest = log_mels(tone, 32, 20).astype(np.float32).mean(1).argmax()
        assert filters(32)[:, round(hertz * FFT / 4000)].argmax() == pytest.approx(loudest, abs=1)


def test_every_mel_band_hears_something_and_none_below_the_lowest() -> None:
    for bands in (8, 32, 128):
        table = filters(bands)
        assert (table.sum(1) > 0).all()
        assert table[:, : int(LOWEST_HZ * FFT / 4000)].sum() == 0


def test_a_spectrogram_does_not_depend_on_loudness() -> None:
    samples = sound("x", 2)
    assert np.allclose(log_mels(samples, 16, 20), log_mels(samples * 4, 16, 20), atol=5e-3)
    assert log_mels(samples, 16, 20).shape == (16, 101)


def test_synthetic_patients_are_always_the_same_and_of_all_kinds() -> None:
    one, other = (list(Synthetic(12, 1.0).patients()) for _ in range(2))
    assert all(
        np.array_equal(a.recordings[0].samples, b.recordings[0].samples)
        for a, b in zip(one, other, strict=True)
    )
    assert {p.murmur for p in one} == {0, 1, 2}
    assert {p.outcome for p in one} == {0, 1}
