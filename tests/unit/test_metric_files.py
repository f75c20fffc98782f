"""The metric of a script, read from the files that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.interception import metric_files
from bench.interception.metric_files import told_in_files
from bench.recipes.script import ScriptSettings, metric_name


def read(metric: str, folder: Path, files: dict[str, str]) -> float:
    """Return a metric of files that appear after the script has begun."""
    told = told_in_files(metric)
    assert told is not None
    before = told.found(folder)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return told.read(folder, before)


@pytest.mark.parametrize(
    ("metric", "name", "text", "value"),
    [
        ("r.json:acc", "r.json", '{"acc": 0.5, "loss": 1}', 0.5),
        ("r.json:val.acc", "r.json", '{"val": {"acc": [0.1, 0.75]}}', 0.75),
        ("r.json:acc", "r.json", '[{"acc": 0.1}, {"acc": 0.2}, {"loss": 3}]', 0.2),
        ("r.jsonl:acc", "r.jsonl", '{"acc": 0.1}\n{"acc": 0.25}\n', 0.25),
        ("m.csv:val acc", "m.csv", "step,val acc\n1,0.5\n2,\n3,0.625\n4,\n", 0.625),
        ("logs/*/m.csv:a", "logs/version_3/m.csv", "a\n7\n", 7.0),
    ],
)
def test_the_last_value_in_a_file_is_the_metric(
    metric: str, name: str, text: str, value: float, tmp_path: Path
) -> None:
    assert read(metric, tmp_path, {name: text}) == value


@pytest.mark.parametrize(
    ("metric", "files", "said"),
    [
        ("r.json:acc", {}, "--metric r.json:acc: the script writes no r.json in its folder"),
        ("r.json:acc", {"r.json": '{"loss": 1}'}, "nothing is called acc there; there are: loss"),
        ("r.json:acc", {"r.json": "{"}, "r.json can't be read: Expecting property name"),
        ("r.json:acc", {"r.json": '{"acc": "good"}'}, "acc is 'good', which is no number"),
        (
            "m.csv:acc",
            {"m.csv": "loss,a\n1,2\n"},
            "nothing is called acc there; there are: loss, a",
        ),
        ("/m.csv:acc", {}, "--metric /m.csv:acc: Non-relative patterns are unsupported"),
    ],
)
def test_a_metric_that_never_comes_says_why(
    metric: str, files: dict[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(BenchError) as refusal:
        read(metric, tmp_path, files)
    assert said in str(refusal.value)


def test_a_file_of_an_earlier_training_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"acc": 1.0}')
    with pytest.raises(BenchError, match=r"the script writes no r\.json"):
        read("r.json:acc", tmp_path, {})


def test_scalars_of_event_files_are_read_by_their_tags(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    told = told_in_files("tensorboard:val/acc")
    assert told is not None
    writer = tensorboard.SummaryWriter(str(tmp_path / "runs"))
    for step, value in enumerate((0.25, 0.5)):
        writer.add_scalar("val/acc", value, step)
    assert told.read(tmp_path, {}) == 0.5  # nobody has closed it
    other = told_in_files("tensorboard:x")
    assert other is not None
    with pytest.raises(
        BenchError, match="tensorboard:x: nothing is called x there; there are: val/"
    ):
        other.read(tmp_path, {})
    writer.close()


def test_without_tensorboard_its_scalars_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metric_files, "find_spec", lambda name: None)
    with pytest.raises(BenchError, match="needs the package tensorboard: pip install"):
        ScriptSettings(data_dir=".", script="a.py", metric="tensorboard:val/acc")


def test_a_metric_in_a_file_is_called_by_its_key() -> None:
    assert [metric_name(m) for m in ("tensorboard:val/acc", "a/r.json:val.acc")] == [
        "val/acc", "val.acc",
    ]  # fmt: skip
