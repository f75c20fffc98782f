"""Reading PTB-XL's layout: what is read, and one line for each way in which it can be bad."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import wfdb
from pydantic import ValidationError

from baselines.s4_ecg import S4ECG, S4ECGSettings, data, ptbxl, sources
from baselines.s4_ecg.settings import LEADS
from bench.errors import BenchError
from bench.metrics import auroc, macro_auroc

CODES = ("NORM", "IMI", "NDT", "LAFB", "LVH")
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
HEADER = ["I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a set of PTB-XL's layout: two records a fold, one of them with two classes."""
    made = tmp_path_factory.mktemp("ptbxl")
    random = np.random.default_rng(0)
    rows = []
    for number in range(1, 21):
        codes = {CODES[(number + number // 10) % 5]: 100.0, "SR": 0.0}
        if number % 2:
            codes[CODES[(number + 2) % 5]] = 50.0
        name = f"records100/00000/{number:05d}_lr"
        rows.append({"ecg_id": number, "scp_codes": str(codes), "strat_fold": (number - 1) % 10 + 1,
                     "filename_lr": name})  # fmt: skip
        write_record(made / name, random.normal(0, 0.5, (1000, 12)))
    other = "records100/00000/00021_lr"
    write_record(made / other, random.normal(0, 0.5, (1000, 12)))
    rows.append({**rows[0], "ecg_id": 21, "scp_codes": "{'SR': 0.0}", "filename_lr": other})
    pd.DataFrame(rows).to_csv(made / "ptbxl_database.csv", index=False)
    table = {"diagnostic": 1.0, "diagnostic_class": list(SUPERCLASSES)}
    statements = pd.DataFrame(table, index=list(CODES))
    statements.loc["SR"] = [None, None]
    statements.to_csv(made / "scp_statements.csv")
    return made


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """Return a copy of that set, to be changed."""
    return shutil.copytree(written, tmp_path, dirs_exist_ok=True)


def write_record(
    path: Path, signal: np.ndarray, leads: list[str] = HEADER, unit: str = "mV", gain: float = 1e3
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        path.name, fs=100, units=[unit] * 12, sig_name=leads, p_signal=signal, fmt=["16"] * 12,
        adc_gain=[gain] * 12, baseline=[0] * 12, write_dir=str(path.parent),
    )  # fmt: skip


def settings(folder: Path, **changes: object) -> S4ECGSettings:
    return S4ECGSettings.model_validate({"dataset": "ptbxl", "data_dir": folder, **changes})


def test_records_labels_and_folds_are_read(folder: Path) -> None:
    content = data.load(settings(folder))
    assert [len(p) for p in (content.train, content.validation, content.test)] == [16, 2, 2]
    assert content.train.signals.shape == (16, 8, 1000)
    first = dict(zip(SUPERCLASSES, content.train.labels[0].tolist(), strict=True))
    assert first == {"NORM": 0, "MI": 1, "STTC": 0, "CD": 1, "HYP": 0}
    assert "1 records without a superclass were dropped" in content.card.notes


def test_the_data_s_hash_covers_the_folds(folder: Path) -> None:
    before = data.load(settings(folder)).card.sha256
    file = folder / "ptbxl_database.csv"
    table = pd.read_csv(file)
    table["strat_fold"] = table["strat_fold"] % 10 + 1
    table.to_csv(file, index=False)
    assert data.load(settings(folder)).card.sha256 != before


@pytest.mark.parametrize(("fold", "before"), [(10, 9), (4, 3), (1, 10)])
def test_another_fold_can_be_tested_on(folder: Path, fold: int, before: int) -> None:
    content = data.load(settings(folder, fold=fold))
    assert [len(p) for p in (content.train, content.validation, content.test)] == [16, 2, 2]
    for part, own in ((content.validation, before), (content.test, fold)):
        row = read(folder / f"records100/00000/{own:05d}_lr")  # a record's fold is its number's
        assert torch.corrcoef(torch.stack([part.signals[0, 0], row]))[0, 1] > 0.999
    assert f"2 records of fold {before} choose" in " ".join(content.card.notes)
    assert f"fold {fold} tests them" in " ".join(content.card.notes)


def read(record: Path) -> torch.Tensor:
    """Return the first lead of a record."""
    return torch.from_numpy(wfdb.rdrecord(str(record)).p_signal[:, 0]).float()


def test_one_scale_for_all_is_that_of_the_training_part(folder: Path) -> None:
    content = data.load(settings(folder))
    assert float(content.train.signals.mean()) == pytest.approx(0, abs=1e-5)
    assert float(content.train.signals.std(correction=0)) == pytest.approx(1, abs=1e-4)
    path = folder / "records100/00000/00001_lr"
    volts = wfdb.rdrecord(str(path)).p_signal
    row = content.train.signals[0, 0]
    slope = float(row[1] - row[0]) / (volts[1, 0] - volts[0, 0])
    assert float(row[9] - row[0]) == pytest.approx(slope * (volts[9, 0] - volts[0, 0]), rel=1e-3)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1000), ("V", 0.001)])
def test_records_are_millivolts_whatever_their_unit(folder: Path, unit: str, factor: float) -> None:
    before = data.load(settings(folder))
    for file in sorted(folder.rglob("*.hea")):
        signal = wfdb.rdrecord(str(file.with_suffix(""))).p_signal
        write_record(file.with_suffix(""), signal * factor, unit=unit, gain=1000 / factor)
    after = data.load(settings(folder))
    assert torch.allclose(before.train.signals, after.train.signals, atol=1e-4)


def test_a_gain_with_an_exponent_is_taken_for_what_it_is(folder: Path) -> None:
    place, file = "records100/00000/00001_lr", folder / "records100/00000/00001_lr.hea"
    plain, found = re.sub(r" 16 \S+/mV", " 16 1000/mV", file.read_text()), []
    for text in (plain, plain.replace("1000/mV", "1E3/mV"), plain.replace("1000/mV", "1e3/mV")):
        file.write_text(text)
        found.append(ptbxl.signals(folder, [place], HEADER))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_tables_may_be_written_by_other_systems(folder: Path) -> None:
    before = data.load(settings(folder))
    file = folder / "ptbxl_database.csv"
    text = file.read_text().replace("records100/00000/", "records100\\00000\\")
    text = text.replace("1_lr\n", "1_lr.hea\n").replace("\n", "\r\n")
    file.write_bytes(b"\xef\xbb\xbf" + text.replace("ecg_id", " ecg_id", 1).encode())
    after = data.load(settings(folder))
    assert after.card == before.card


def test_bad_records_can_be_skipped_and_are_counted(folder: Path) -> None:
    damage(folder)
    content = data.load(settings(folder, skip_bad=True))
    assert len(content.train) == 15
    assert "1 bad records were skipped; the first: " in " ".join(content.card.notes)
    assert "00003_lr.dat is damaged" in " ".join(content.card.notes)


def test_skipping_is_named_in_a_recipe_only_where_it_is_asked_for() -> None:
    assert "skip_bad" not in S4ECGSettings().model_dump(mode="json")
    asked = S4ECGSettings(skip_bad=True).model_dump(mode="json")
    assert S4ECGSettings.model_validate(asked).skip_bad


def test_leads_come_in_the_order_asked_for(folder: Path) -> None:
    plain = data.load(settings(folder)).test.signals
    other = data.load(settings(folder, leads="V6,V5,V4,V3,V2,V1,II,I")).test.signals
    assert torch.allclose(other, plain.flip(1), atol=1e-5)


def edit(
    folder: Path, column: str, value: str | int, rows: Callable[[pd.DataFrame], pd.Series]
) -> None:
    file = folder / "ptbxl_database.csv"
    table = pd.read_csv(file)
    table.loc[rows(table), column] = value
    table.to_csv(file, index=False)


def lose_dat(folder: Path) -> None:
    (folder / "records100/00000/00003_lr.dat").unlink()


def truncate_dat(folder: Path) -> None:
    file = folder / "records100/00000/00003_lr.dat"
    file.write_bytes(file.read_bytes()[:1234])


def lose_column(folder: Path) -> None:
    file = folder / "ptbxl_database.csv"
    pd.read_csv(file).drop(columns="strat_fold").to_csv(file, index=False)


def lose_statements(folder: Path) -> None:
    (folder / "scp_statements.csv").unlink()


def rename_lead(folder: Path) -> None:
    names = ["MLII" if name == "II" else name for name in HEADER]
    write_record(folder / "records100/00000/00003_lr", np.zeros((1000, 12)), names)


def shorten(folder: Path) -> None:
    write_record(folder / "records100/00000/00003_lr", np.zeros((500, 12)))


def empty_a_fold(folder: Path) -> None:
    edit(folder, "scp_codes", "{'SR': 0.0}", lambda t: t["strat_fold"] == 10)


def lose_a_class(folder: Path) -> None:
    edit(folder, "scp_codes", "{'NORM': 1.0}", lambda t: t["strat_fold"] < 9)


def make_test_alike(folder: Path) -> None:
    edit(folder, "scp_codes", "{'NORM': 1.0}", lambda t: t["strat_fold"] == 10)


def break_codes(folder: Path) -> None:
    edit(folder, "scp_codes", "NORM: 100", lambda t: t["ecg_id"] == 4)


def misnumber_fold(folder: Path) -> None:
    edit(folder, "strat_fold", 11, lambda t: t["ecg_id"] == 4)


def damage(folder: Path) -> None:
    file = folder / "records100/00000/00003_lr.dat"
    content = bytearray(file.read_bytes())
    content[1000] ^= 0xFF
    file.write_bytes(bytes(content))


def uncalibrate(folder: Path) -> None:
    edit_header(folder, "1000.0(0)/mV", "0/mV")


def change_unit(folder: Path) -> None:
    edit_header(folder, "/mV", "/mmHg")


def edit_header(folder: Path, old: str, new: str) -> None:
    file = folder / "records100/00000/00003_lr.hea"
    file.write_text(file.read_text().replace(old, new))


def name_a_record_twice(folder: Path) -> None:
    name = "records100/00000/00003_lr"
    edit(folder, "filename_lr", name, lambda t: t["ecg_id"] == 4)


def leave_the_folder(folder: Path) -> None:
    edit(folder, "filename_lr", "/etc/00003_lr", lambda t: t["ecg_id"] == 3)


def part_with_semicolons(folder: Path) -> None:
    file = folder / "ptbxl_database.csv"
    pd.read_csv(file).to_csv(file, index=False, sep=";")


BAD = [
    (damage, "00003_lr.dat is damaged: its samples don't fit the checksums", "--skip-bad"),
    (uncalibrate, "00003_lr.hea, signal 1 is not calibrated", "write the gain"),
    (change_unit, '00003_lr.hea, signal 1 is in "mmHg", which is no unit', "write V, mV or uV"),
    (name_a_record_twice, "names records100/00000/00003_lr twice", "remove one of the rows"),
    (leave_the_folder, "names /etc/00003_lr, outside of its folder", "correct it"),
    (part_with_semicolons, "no column ecg_id, scp_codes, strat_fold, filename_lr, with commas", ""),
    (lose_dat, "00003_lr.dat is missing", "get it again"),
    (truncate_dat, "00003_lr.dat can't be read", "get it again"),
    (lose_column, "ptbxl_database.csv has no column strat_fold", "get it again"),
    (lose_statements, "scp_statements.csv is missing", "get it again"),
    (rename_lead, "00003_lr.hea names the leads I, MLII, III", "--set leads="),
    (shorten, "00003_lr.dat holds 500 samples at 100 Hz", "get it again"),
    (empty_a_fold, "ptbxl_database.csv: no record of fold 10 (test) has a class", "get the whole"),
    (lose_a_class, "folds 1, 2, 3, 4, 5, 6, 7, 8 (train) is MI, STTC, CD, HYP", "get the whole"),
    (make_test_alike, "fold 10 (test) has no class that some records have", "get the whole"),
    (break_codes, "ptbxl_database.csv: scp_codes of record 4 is no dict", "get it again"),
    (misnumber_fold, "ptbxl_database.csv: strat_fold of record 4 is not 1 to 10", "get it again"),
]


@pytest.mark.parametrize(("spoil", "what", "advice"), BAD, ids=lambda v: getattr(v, "__name__", ""))
def test_bad_data_is_one_line_that_names_the_file_and_what_to_do(
    folder: Path, spoil: Callable[[Path], None], what: str, advice: str
) -> None:
    spoil(folder)
    with pytest.raises(BenchError) as caught:
        data.load(settings(folder))
    said = str(caught.value)
    assert what in said
    assert advice in said
    assert "\n" not in said
    assert str(folder) in said


@pytest.mark.parametrize("leads", ["I,II,V1,V2,V3,V4,V5,X9", "I,II", "I,I,V1,V2,V3,V4,V5,V6"])
def test_unknown_leads_are_refused(folder: Path, leads: str) -> None:
    with pytest.raises(ValidationError, match=r"no lead is named X9|eight different leads"):
        settings(folder, leads=leads)


def test_without_data_the_set_is_synthetic_and_says_so() -> None:
    found, notices = S4ECG().prepare(S4ECGSettings())
    assert found.dataset == "synthetic"
    assert "synthetic" in notices[0]
    assert S4ECG().target_for(found).value is None
    content = data.load(found.model_copy(update={"synthetic_records": 40}))
    assert content.card.name == "synthetic"
    assert any("synthetic" in note for note in content.card.notes)


def test_a_set_that_was_named_is_never_replaced(tmp_path: Path) -> None:
    for dataset in ("ptbxl", "nothing", str(tmp_path)):
        with pytest.raises(BenchError):
            sources.resolve(dataset, tmp_path)


def test_real_records_are_those_of_the_spec(ptbxl: Path) -> None:
    content = data.load(settings(ptbxl))
    sizes = [len(part) for part in (content.train, content.validation, content.test)]
    assert sizes == [352, 72, 64]
    assert "12 records without a superclass were dropped" in content.card.notes


@pytest.mark.parametrize("first", [[-0.0, 0.0, 8], [np.inf, np.inf, -np.inf], [np.nan, 0, 0]])
def test_auroc_ranks_scores_as_scipy_does(first: list[float]) -> None:
    from scipy.stats import mannwhitneyu

    random = np.random.default_rng(0)
    scores = np.array([*first, *random.integers(0, 9, 57)], np.float32)  # with ties
    labels = random.integers(0, 2, 60).astype(np.float32)
    above = mannwhitneyu(scores[labels > 0], scores[labels == 0]).statistic
    expected = above / labels.sum() / (1 - labels).sum()
    assert auroc(scores, labels) == pytest.approx(expected, nan_ok=True)


def test_macro_auroc_is_the_mean_over_the_classes_that_can_be_told_apart() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    scores = random.normal(size=(40, 3)).round(1).astype(np.float32)  # with ties
    labels = (random.random((40, 3)) < 0.4).astype(np.float32)
    labels[:, 2] = 0
    expected = np.mean([roc_auc_score(labels[:, k], scores[:, k]) for k in (0, 1)])
    assert macro_auroc(scores, labels) == pytest.approx(expected)


def test_a_size_fills_what_is_left_out() -> None:
    made = S4ECGSettings(size="optimized", batch_size=8)
    assert (made.layers, made.residual, made.batch_size, made.frozen) == (12, 128, 8, True)
    assert S4ECGSettings.model_validate(made.model_dump()) == made
    assert S4ECGSettings().leads == LEADS


def test_naming_the_baseline_imports_neither_torch_nor_wfdb() -> None:
    code = "import sys, baselines.s4_ecg; print('torch' in sys.modules, 'wfdb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
