"""Reading ECG records and packing them: what is read, and one line for each way of being bad."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import wfdb

from baselines.ecg_cnn import ECGCNNSettings
from baselines.ecg_cnn.challenge import record
from baselines.ecg_cnn.labels import is_snomed, labels_of
from baselines.ecg_cnn.pack import load, write
from baselines.ecg_cnn.sources import packed, resolve
from baselines.ecg_cnn.synthetic import Synthetic
from bench.errors import BenchError
from tests.ecg_records import LEADS, write_record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "records"
    made.mkdir()
    for number in range(6):
        write_record(made, f"R{number}", dx="426783006,164889003" if number % 2 else "59118001")
    return made


def pack_of(where: Path, **settings: Any) -> Any:
    return packed(ECGCNNSettings(dataset=str(where), **settings))[0]


def grouped(path: Path, **changes: Any) -> Path:
    random = np.random.default_rng(0)
    content = {
        "X": random.normal(0, 1, (4, 300, 12)).astype(np.float32),
        "labels": np.eye(4, 3, dtype=np.uint8) | np.uint8(1),
        "lengths": np.array([300, 200, 250, 10]),
    } | changes
    with h5py.File(path, "w") as file:
        for name in ("train", "val", "test"):
            group = file.create_group(name)
            for key, value in content.items():
                if value is not None:
                    group[key] = value
    return path


def test_a_header_s_labels_are_codes_or_the_early_names() -> None:
    assert labels_of("164889003,59118001") == ("AF", "RBBB")
    assert labels_of("AF, I-AVB") == ("AF", "IAVB")
    assert labels_of("Normal") == ("NSR",)


def test_codes_that_are_scored_as_one_are_one_label() -> None:
    assert labels_of("733534002,164909002") == ("LBBB",)
    assert labels_of("284470004,63593006") == ("PAC",)


def test_a_code_that_is_not_scored_stays_a_code() -> None:
    assert labels_of("428750005,426783006") == ("428750005", "NSR")


@pytest.mark.parametrize("code", ["426783006", "67741000119109", "428750005"])
def test_real_codes_pass_the_check_digit(code: str) -> None:
    assert is_snomed(code)


@pytest.mark.parametrize("code", ["426783007", "426738006", "12345", "42678300x", ""])
def test_mistyped_codes_do_not(code: str) -> None:
    assert not is_snomed(code)


@pytest.mark.parametrize("early", [False, True])
def test_both_forms_of_headers_are_read_alike(tmp_path: Path, early: bool) -> None:
    written = write_record(tmp_path, "A1", dx="AF,RBBB" if early else "164889003", early=early)
    found = record(tmp_path / "A1.hea")
    assert np.array_equal(found.samples, written)
    assert found.labels == (("AF", "RBBB") if early else ("AF",))
    assert np.allclose(found.scales, 1e-3)


@pytest.mark.parametrize(
    "said",
    ["1000", "1000/mV", "1000(0)/mv", "1/uV", "1/\u00b5V", "1/\u03bcV", "1000000/V", "1e6(0)/V",
     "1e-3/nV"],
)  # fmt: skip
def test_samples_are_millivolts_whatever_the_unit_of_the_header(tmp_path: Path, said: str) -> None:
    written = write_record(tmp_path, "A1", gain=said)
    found = record(tmp_path / "A1.hea")
    assert np.allclose(
        (found.samples - found.zeros[:, None]) * found.scales[:, None], written / 1e3
    )


def test_each_lead_has_its_own_unit_gain_and_baseline(tmp_path: Path) -> None:
    written = write_record(tmp_path, "A1")
    header = tmp_path / "A1.hea"
    text = header.read_text().replace("1000.0(0)/mV", "2(100)/uV", 1)
    header.write_text(text.replace("1000.0(0)/mV", "500(-7)/mV", 1), encoding="latin-1")
    found = record(header)
    made = (found.samples - found.zeros[:, None]) * found.scales[:, None]
    assert np.allclose(made[0], (written[0] - 100) / 2000, atol=1e-6)
    assert np.allclose(made[1], (written[1] + 7) / 500, atol=1e-6)
    assert np.allclose(made[2:], written[2:] / 1000, atol=1e-6)


def test_samples_may_lie_in_a_dat_file(tmp_path: Path) -> None:
    written = write_record(tmp_path, "A1", suffix=".dat")
    pack = pack_of(tmp_path)
    assert np.allclose(pack.read([0], 600)[0], written / 1000)


@pytest.mark.parametrize("line", ["#Dx: 59118001", "# dx : 59118001", "#DX:59118001"])
def test_diagnoses_are_read_from_every_line_that_names_some(tmp_path: Path, line: str) -> None:
    write_record(tmp_path, "A1", dx="164889003")
    header = tmp_path / "A1.hea"
    header.write_bytes(header.read_bytes() + f"{line}\r\n# Rx: \u00e9".encode("latin-1"))
    assert record(header).labels == ("AF", "RBBB")


def test_linked_folders_are_read_and_hidden_files_are_not(folder: Path, tmp_path: Path) -> None:
    (folder / "._R0.hea").write_bytes(b"\0\5\x16\7")
    (folder / "again").symlink_to(folder)
    links = tmp_path / "links"
    links.mkdir()
    (links / "site").symlink_to(folder)
    assert pack_of(links).names == ["R0", "R1", "R2", "R3", "R4", "R5"]
    assert pack_of(folder).names == ["R0", "R1", "R2", "R3", "R4", "R5"]


def test_leads_are_put_in_order(tmp_path: Path) -> None:
    written = write_record(tmp_path, "A1", leads=LEADS[::-1])
    assert np.array_equal(record(tmp_path / "A1.hea").samples, written[::-1])


def test_a_packed_record_is_what_wfdb_reads(cinc: Path) -> None:
    for name in ("cinc2020", "cinc2021"):
        pack = pack_of(cinc / name)
        for row in (0, len(pack) // 2, len(pack) - 1):
            file = next((cinc / name).rglob(f"{pack.names[row]}.hea")).with_suffix("")
            millivolts = wfdb.rdrecord(str(file)).p_signal.T
            read = pack.read([row], millivolts.shape[1])[0]
            assert np.allclose(read, millivolts, atol=1e-6)


def test_records_are_padded_with_zeros_or_cut(folder: Path) -> None:
    pack = pack_of(folder)
    short, long = pack.read([0], 100)[0], pack.read([0], 1000)[0]
    assert np.array_equal(long[:, :100], short)
    assert long[:, 600:].max() == long[:, 600:].min() == 0
    assert np.abs(long[:, :600]).min(1).max() < 1


def test_rows_are_read_in_the_order_asked_for(folder: Path) -> None:
    pack = pack_of(folder)
    one, other = pack.read([4, 1], 600), pack.read([1, 4], 600)
    assert np.array_equal(one, other[::-1])
    assert not np.array_equal(one[0], one[1])


def test_a_pack_is_made_once_and_again_when_a_file_changes(folder: Path) -> None:
    settings = ECGCNNSettings(dataset=str(folder))
    first, news = packed(settings)
    assert len(news) == 1
    assert packed(settings)[1] == ()
    time.sleep(0.01)
    write_record(folder, "R9")
    second, news = packed(settings)
    assert len(news) == 1
    assert (len(first), len(second)) == (6, 7)
    assert first.sha256 != second.sha256


@pytest.mark.parametrize("at", [0.2, 0.5, 0.9])
def test_a_pack_that_is_damaged_is_made_again(folder: Path, at: float) -> None:
    settings = ECGCNNSettings(dataset=str(folder))
    before = packed(settings)[0]
    content, kept = bytearray(before.path.read_bytes()), before.read([0, 5], 600)
    start = before.offset + int(at * 6 * 12 * 600) * 2
    content[start : start + 8] = bytes(8)
    before.path.write_bytes(bytes(content))
    after, news = packed(settings)
    assert len(news) == 1
    assert np.array_equal(after.read([0, 5], 600), kept)
    assert after.sha256 == before.sha256 == after.digest()


def test_a_pack_that_was_cut_off_is_made_again(folder: Path) -> None:
    settings = ECGCNNSettings(dataset=str(folder))
    path = packed(settings)[0].path
    os.truncate(path, path.stat().st_size // 2)
    again, news = packed(settings)
    assert len(news) == 1
    assert len(again) == 6


def test_packing_that_fails_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    (folder / "R3.mat").write_bytes(b"short")
    place = tmp_path / "out"
    place.mkdir()
    from baselines.ecg_cnn.challenge import Challenge

    with pytest.raises(BenchError):
        write(Challenge(folder, "x", False), place / "x.h5")
    assert list(place.iterdir()) == []


def cut(folder: Path) -> None:
    file = folder / "R2.mat"
    file.write_bytes(file.read_bytes()[:4000])


def damage(folder: Path) -> None:
    content = bytearray((folder / "R2.mat").read_bytes())
    content[1000] ^= 0xFF
    (folder / "R2.mat").write_bytes(bytes(content))


def gain(said: str) -> Callable[[Path], object]:
    return lambda folder: write_record(folder, "R2", gain=said)


def rewrite(folder: Path, old: str, new: str) -> None:
    file = folder / "R2.hea"
    file.write_text(file.read_text().replace(old, new))


def without_a_value(folder: Path) -> None:
    signal = write_record(folder, "R2")
    first = int(signal[0].sum()) % 65536
    signal[0, 1] = -(2**15)
    rewrite(folder, f" {first} 0 I\n", f" {int(signal[0].sum()) % 65536} 0 I\n")
    (folder / "R2.mat").write_bytes(bytes(24) + signal.T.tobytes())


BAD: dict[str, Callable[[Path], object]] = {
    "R2.mat can't be read": cut,
    "R2.mat is damaged: its samples don't fit the checksums": damage,
    "R2.mat is missing although R2.hea is there": lambda f: (f / "R2.mat").unlink(),
    "R2.hea is no header of a record": lambda f: (f / "R2.hea").write_text("nothing\n"),
    "R2.hea can't be read": lambda f: rewrite(f, "R2 12 500", "R.2 12 500"),
    'R2.hea: "12345678" is neither a label': lambda f: write_record(f, "R2", dx="12345678"),
    "R2.hea names no label": lambda f: write_record(f, "R2", dx=None),
    "R2.hea is of 257 Hz, not 500": lambda f: write_record(f, "R2", rate=257),
    "R2.hea names the leads": lambda f: write_record(f, "R2", leads=LEADS[:3]),
    'R2.hea, signal 1 is in "NU", which is no unit of voltage': gain("1000/NU"),
    'R2.hea, signal 1 is in "MV", which is no unit of voltage': gain("1000/MV"),
    "R2.hea, signal 1 is not calibrated (no gain, or 0)": gain("0/mV"),
    "R2.hea, signal 1: the gain many/mV is no number": gain("many/mV"),
    "R2.hea, signal 1: the gain 1_000/mV is no number": gain("1_000/mV"),
    "R2.hea has the baseline 40000, outside of 16 bits": gain("1000(40000)/mV"),
    "R2.hea has the baseline -40000, outside of 16 bits": gain("1000(-40000)/mV"),
    "R2.hea is of format 212, 1 a frame": lambda f: rewrite(f, "16x1+24", "212+24"),
    "R2.hea is of format 16, 4 a frame": lambda f: rewrite(f, "16x1", "16x4"),
    "R2.hea names other files than R2.mat": lambda f: rewrite(f, "R2.mat", "R1.mat"),
    "R2.hea is of a record in several segments": lambda f: rewrite(f, "R2 12", "R2/2 12"),
    "R2.hea announces 13 signals and describes 12": lambda f: rewrite(f, "R2 12", "R2 13"),
    "R2.mat is missing although R2.hea is there (rename R2.MAT)": lambda f: (f / "R2.mat").rename(
        f / "R2.MAT"
    ),
    "R2.HEA has to end in .hea; rename it": lambda f: (f / "R2.hea").rename(f / "R2.HEA"),
    "R2.mat holds samples without a value (-32768)": lambda f: without_a_value(f),
}


@pytest.mark.parametrize("said", BAD)
def test_a_bad_record_is_one_line_that_names_its_file(folder: Path, said: str) -> None:
    BAD[said](folder)
    with pytest.raises(BenchError) as caught:
        pack_of(folder)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "--skip-bad" in str(caught.value)


@pytest.mark.parametrize("said", BAD)
def test_a_bad_record_can_be_skipped_and_is_counted(folder: Path, said: str) -> None:
    BAD[said](folder)
    pack = pack_of(folder, skip_bad=True)
    assert pack.names == ["R0", "R1", "R3", "R4", "R5"]
    assert len(pack.skipped) == 1
    assert said in pack.skipped[0]


def test_what_was_skipped_once_is_not_silently_left_out_later(folder: Path) -> None:
    damage(folder)
    pack_of(folder, skip_bad=True)
    with pytest.raises(BenchError, match="damaged"):
        pack_of(folder)


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="holds no record"):
        resolve(str(tmp_path), None)


def test_records_of_another_challenge_are_not_taken_for_those_asked_for(tmp_path: Path) -> None:
    other = tmp_path / "cinc2021"
    other.mkdir()
    write_record(other, "R0")
    with pytest.raises(BenchError, match="no records of cinc2020"):
        resolve("cinc2020", other)
    assert resolve(None, other)[0] == "cinc2021"


def test_groups_of_an_hdf5_file_are_parts(tmp_path: Path) -> None:
    pack = pack_of(grouped(tmp_path / "x.h5"))
    assert pack.parts == ["test"] * 4 + ["train"] * 4 + ["validation"] * 4
    assert pack.lengths.tolist() == [300, 200, 250, 10] * 3
    with h5py.File(tmp_path / "x.h5") as file:
        expected = file["test"]["X"][1, :200].T
    assert np.allclose(pack.read([1], 200)[0], expected, atol=2e-4)


def test_16_bit_samples_of_an_hdf5_file_are_kept_as_they_are(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(-500, 500, (4, 300, 12)).astype(np.int16)
    pack = pack_of(grouped(tmp_path / "x.h5", X=x))
    assert np.allclose(pack.read([2], 250)[0] * 1000, x[2, :250].T)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1000), ("V", 0.001), (b"mV", 1)])
def test_an_hdf5_file_may_name_its_unit(tmp_path: Path, unit: str | bytes, factor: float) -> None:
    plain = pack_of(grouped(tmp_path / "x.h5")).read([1], 200)
    with h5py.File(grouped(tmp_path / "y.h5"), "r+") as file:
        file.attrs["units"] = unit
        for group in file.values():
            group["X"][...] *= np.float32(factor)
    assert np.allclose(pack_of(tmp_path / "y.h5").read([1], 200), plain, atol=1e-3)


def test_16_bit_samples_of_any_byte_order_are_read(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(-500, 500, (4, 300, 12)).astype(">i2")
    assert np.allclose(
        pack_of(grouped(tmp_path / "x.h5", X=x)).read([2], 250)[0], x[2, :250].T / 1e3
    )


def attributed(path: Path, **attributes: Any) -> Path:
    with h5py.File(grouped(path), "r+") as file:
        file.attrs.update(attributes)
    return path


def truncated(path: Path) -> Path:
    os.truncate(grouped(path), 3000)
    return path


def no_hdf5(path: Path) -> Path:
    path.write_text("no")
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (truncated, "is no whole HDF5 file"),
        (no_hdf5, "is no whole HDF5 file"),
        (lambda p: grouped(p, lengths=None), "group test has no lengths"),
        (lambda p: grouped(p, X=np.zeros((4, 12, 300))), "not (n, length, 12)"),
        (lambda p: grouped(p, lengths=np.array([300, 400, 1, 1])), "has the length 400, of 300"),
        (lambda p: grouped(p, X=np.full((4, 300, 12), np.nan)), "samples without a value"),
        (lambda p: grouped(p, labels=np.zeros((4, 3))), "has no label"),
        (lambda p: grouped(p, labels=np.full((4, 3), np.nan)), "labels that are neither 0 nor 1"),
        (lambda p: grouped(p, lengths=np.full(4, np.nan)), "has the length nan, of 300"),
        (lambda p: grouped(p, X=np.zeros((4, 300, 12), np.int32)), "X of group test is of int32"),
        (lambda p: attributed(p, units="mmHg"), 'is in "mmHg", which is no unit of voltage'),
        (lambda p: attributed(p, label_names=["a", "b"]), "2 different ones, for 3 labels"),
    ],
)
def test_a_bad_hdf5_file_is_one_line_that_names_it(tmp_path: Path, make: Any, said: str) -> None:
    path = make(tmp_path / "x.h5")
    with pytest.raises(BenchError) as caught:
        pack_of(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_synthetic_records_are_always_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(Synthetic(40, 600), tmp_path / name)
    a, b = load(tmp_path / "a"), load(tmp_path / "b")
    assert a.sha256 == b.sha256
    assert a.labels == b.labels
    assert np.array_equal(a.read([7], 600), b.read([7], 600))


def test_every_label_occurs_among_the_first_synthetic_records(tmp_path: Path) -> None:
    write(Synthetic(40, 600), tmp_path / "a")
    assert len({name for own in load(tmp_path / "a").labels[:19] for name in own}) == 19
