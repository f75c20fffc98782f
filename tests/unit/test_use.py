"""A checkpoint tells all it takes to use its model, and what is no checkpoint is one line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.svm import SVC
from torch import Tensor, nn

from baselines.timehut.svm import Classified, tensors_of
from bench.deployment import Answer, Item, Picture
from bench.errors import BenchError
from bench.model import weights_file
from bench.recipes import assembly, trust
from bench.records.measurement import Evaluation
from bench.records.recipe import Recipe
from bench.trial.scheduling import Rates, optimizer_of
from bench.trial.training import Trained
from bench.use import checkpoint, requests
from bench.use.occlusion import explained
from bench.use.program import operator_in
from tests.cli.calls import call

CPU = torch.device("cpu")
SETTINGS: dict[str, dict[str, object]] = {
    "timehut": {"dataset": "UnitTest", "depth": 2, "hidden": 8, "output": 16},
    "s4-ecg": {
        "dataset": "synthetic", "synthetic_records": 40, "layers": 1, "residual": 8, "skip": 8,
        "batch_size": 4,
    },
    "ecg-cnn": {
        "dataset": "synthetic", "synthetic_records": 40, "synthetic_samples": 500, "length": 256,
        "width": 4, "labels": 5,
    },
    "xray": {
        "dataset": "synthetic", "synthetic_images": 20, "image_size": 32, "batch_size": 4,
        "architecture": "small",
    },
    "murmur": {
        "dataset": "synthetic", "synthetic_patients": 15, "synthetic_seconds": 1.0,
        "seconds": 1.0, "width": 0.1, "folds": 3, "batch_size": 4,
    },
}  # fmt: skip
Written = Callable[[str], Path]
HEADER = "a 12 500 4\n" + "a.mat 16+24 1000/mV 16 0 0 0 0 I\n" * 12 + "# Dx: 426783006\n"


def trained(job: object, model: nn.Module) -> Trained:
    """Return a training that ends where it begins."""
    from bench.job import Job, Progress

    assert isinstance(job, Job)
    progress = Progress(1)
    rates = Rates.of(job, optimizer_of(job), progress)
    last = Evaluation(epoch=1, step=1, train_seconds=1.0, values={"accuracy": 0.5})
    return Trained(progress, model, rates, evaluations=[last])


def write(folder: Path, recipe: Recipe, change: Callable[[nn.Module], nn.Module]) -> nn.Module:
    job = assembly.build(recipe, {}, CPU, 0)
    model = change(job.model).eval()
    folder.mkdir()
    weights_file.write(model, folder / "model.safetensors")
    checkpoint.write(folder, recipe, {}, 0, job, trained(job, model))
    return model


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return what gives the folder of a baseline's checkpoint, written once."""
    base, there = tmp_path_factory.mktemp("checkpoints"), dict[str, Path]()

    def folder(name: str) -> Path:
        if name not in there:
            there[name] = base / name
            write(there[name], Recipe(baseline=name, settings=SETTINGS[name]), lambda model: model)
        return there[name]

    return folder


@pytest.mark.parametrize("name", SETTINGS)
def test_a_checkpoint_is_loaded_with_its_labels_and_answers(written: Written, name: str) -> None:
    loaded = checkpoint.load(written(name), CPU)
    items = loaded.use.examples(2)
    assert len(items) == 2
    for item in items:
        outputs = loaded.model(item.rows)
        answer = loaded.use.answer(outputs)
        assert set(answer.scores) == set(loaded.record.labels)
        assert set(item.truth or ()) <= set(loaded.record.labels)
        assert set(answer.labels) <= set(loaded.record.labels)


def test_a_loaded_model_answers_as_the_trained_one_bit_for_bit(tmp_path: Path) -> None:
    recipe = Recipe(baseline="xray", settings=SETTINGS["xray"])
    model = write(tmp_path / "checkpoint", recipe, lambda model: model)
    loaded = checkpoint.load(tmp_path / "checkpoint", CPU)
    rows = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded.model(rows), model(rows))


class Mean(nn.Module):
    """The mean of two models, called with whatever comes, as an ensemble is."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.members = nn.ModuleList([model, nn.Sequential(model, nn.Linear(5, 5))])

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.stack([member(*inputs) for member in self.members]).mean(0)


def test_what_techniques_made_of_a_model_is_kept_as_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.recipes.trust.cache_folder", lambda: tmp_path)
    recipe = Recipe(baseline="murmur", settings=SETTINGS["murmur"])

    model = write(tmp_path / "checkpoint", recipe, Mean)
    loaded = checkpoint.load(tmp_path / "checkpoint", CPU)
    assert loaded.record.form == "program"
    item = loaded.use.examples(1)[0]
    for rows in (item.rows[:1], item.rows.repeat(5, 1, 1, 1)):
        torch.testing.assert_close(loaded.model(rows), model(rows), rtol=1e-4, atol=1e-5)
    shutil.rmtree(tmp_path / trust.FOLDER)
    with pytest.raises(BenchError, match=r"code that was not given .*model\.pt2 .*--trust"):
        checkpoint.load(tmp_path / "checkpoint", CPU)


@dataclass(frozen=True)
class Damage:
    """What is done to a checkpoint, and what is said of it."""

    of: str
    do: Callable[[Path], object]
    said: str


def said_by(path: Path, **changes: object) -> None:
    """Change what a checkpoint says of itself, as one of before it was sealed."""
    path.write_text(json.dumps({**json.loads(path.read_text()), "content": None, **changes}))


DAMAGES = {
    "nothing there": Damage("checkpoint.json", Path.unlink, "is no checkpoint: there is no"),
    "cut off": Damage(
        "model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-9]),
        "model.safetensors is not what was written: it is damaged",
    ),
    "lost": Damage("model.safetensors", Path.unlink, "is missing; copy the whole checkpoint"),
    "newer": Damage("checkpoint.json", lambda path: said_by(path, format=2), "update trainpairs"),
    "edited": Damage(
        "checkpoint.json", lambda path: said_by(path, recipe_id="0" * 12), "it was edited"
    ),
    "other labels": Damage(
        "checkpoint.json",
        lambda path: path.write_text(path.read_text().replace('"class0"', '"class9"')),
        "checkpoint.json is not what was written: it is damaged, or was edited",
    ),
    "without its labels": Damage(
        "checkpoint.json", lambda path: said_by(path, labels=[]), "doesn't fit the model"
    ),
    "without its facts": Damage(
        "checkpoint.json", lambda path: said_by(path, facts={}), "(KeyError: 'classes')"
    ),
    "a file from elsewhere": Damage(
        "checkpoint.json",
        lambda path: said_by(path, files={**json.loads(path.read_text())["files"], "../x": "0"}),
        "names the file ../x, which no checkpoint has",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_refused_in_one_line(
    written: Written, tmp_path: Path, damage: Damage
) -> None:
    folder = Path(shutil.copytree(written("xray"), tmp_path / "checkpoint"))
    damage.do(folder / damage.of)
    with pytest.raises(BenchError) as refused:
        checkpoint.load(folder, CPU)
    assert damage.said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_item_of_the_data_is_in_a_checkpoint(written: Written) -> None:
    said = json.loads((written("ecg-cnn") / "checkpoint.json").read_text())
    assert said["facts"] == {}
    assert {*said["inputs"]} == {"shape", "dtype", "low", "high"}
    assert said["inputs"]["shape"] == [12, 256]
    assert said["data"]["name"] == "synthetic"
    assert set(said["files"]) == {"model.safetensors"}


@pytest.mark.parametrize("classes", [2, 4])
def test_the_svm_of_tensors_decides_as_scikit_learn_s(classes: int) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(80) % classes
    found = (random.normal(size=(80, 6)) + labels[:, None] * 0.7).astype(np.float32)
    fitted = SVC(C=1.0, gamma="scale").fit(found, labels)
    scores = Classified(nn.Identity(), tensors_of(fitted))(torch.from_numpy(found)[:, None])
    expected = fitted.decision_function(found)
    own = scores[:, 1].numpy() if classes == 2 else scores.numpy()
    np.testing.assert_allclose(own, expected, atol=1e-4)


def test_values_come_as_lists_of_numbers_and_null_is_missing() -> None:
    found = requests.numbers([[1, None], [2.5, 3]])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([[1, np.nan], [2.5, 3]], np.float32))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "a list of numbers"), ([], "hold no number"), ([[1, 2], [3]], "equally many"),
        (["1"], "have to be numbers"), ([True], "have to be numbers"), ([1e60], "too large"),
        ([[{}]], "have to be numbers"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(values: object, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        requests.numbers(values)


def test_an_uploaded_file_is_named_without_the_folder_it_was_put_in(written: Written) -> None:
    use = checkpoint.load(written("timehut"), CPU).use
    lines = b"1,2,3:1\n4,5,?\n"
    first, second = requests.of_files([("../../a.ts", lines)], use)
    assert (first.truth, second.truth) == (("1",), None)
    assert (first.name, tuple(first.rows.shape)) == ("a 1", (1, 3, 1))
    with pytest.raises(BenchError, match=r"^a\.ts, line 1: 'x' is no number"):
        requests.of_files([("a.ts", b"1,x")], use)
    with pytest.raises(BenchError, match=r"^two files are named a\.ts; send them one by one"):
        requests.of_files([("x/a.ts", b"1,2"), ("y/a.ts", b"8,9")], use)
    use = checkpoint.load(written("ecg-cnn"), CPU).use
    with pytest.raises(BenchError, match=r"^a\.mat is missing although a\.hea is there$"):
        requests.of_files([("a.hea", HEADER.encode())], use)


def test_a_recording_has_every_sample_of_16_bits_also_as_json(written: Written) -> None:
    use = checkpoint.load(written("murmur"), CPU).use
    loud = np.resize(np.array([-32768.0, 32767.0], np.float32), 8000)
    assert len(use.take(loud).rows)
    with pytest.raises(BenchError, match="from -32768 to 32767"):
        use.take(loud * 2)


class Half:
    """A use of a toy model: its score is the mean of the first half."""

    def answer(self, outputs: Tensor) -> Answer:
        return Answer((), {"half": float(outputs.mean())}, "means")


def test_an_occlusion_map_shows_what_an_answer_rests_on() -> None:
    row = torch.zeros(1, 1, 80)
    row[..., 20:24] = 9.0
    item = Item("step", row, Picture("signals", row[0].numpy()))

    def model(rows: Tensor) -> Tensor:
        return rows[:, 0, :40].mean(1, keepdim=True)

    loaded = checkpoint.Loaded.__new__(checkpoint.Loaded)
    for name, value in (("model", model), ("use", Half()), ("device", CPU)):
        object.__setattr__(loaded, name, value)
    (found,) = explained(loaded, item).importance
    assert found.shape == (40,)
    assert 9 <= int(found.argmax()) <= 12
    assert abs(float(found[20:].max())) < 0.05


def test_an_exporter_s_failure_names_the_operator() -> None:
    cause = RuntimeError("No decompositions for [aten.foo.default] registered")
    assert "aten.foo.default" in operator_in(cause)
    outer = RuntimeError("conversion failed")
    outer.__cause__ = cause
    assert operator_in(outer) == "the operator aten.foo.default: RuntimeError: conversion failed"


def test_a_demo_is_a_picture_of_items_of_the_test_part(written: Written, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = call("demo", str(written("xray")), "--items", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(
        re.findall(r"^test image \d+: class\d \(0\.\d+\); true: class\d$", done.stdout, re.M)
    )
    assert (tmp_path / "inference_demo.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("export", "CHECKPOINT", "--to", "tflite"), 'no form named "tflite"; there are: torch'),
        (("demo", "CHECKPOINT", "gone.png"), "there is no file gone.png"),
        (("export", "."), ". is no checkpoint: there is no checkpoint.json; `bench train` writes"),
    ],
)
def test_what_can_not_be_used_is_one_line(
    written: Written, tmp_path: Path, asked: tuple[str, ...], said: str
) -> None:
    words = (str(written("xray")) if word == "CHECKPOINT" else word for word in asked)
    done = call(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"bench: {said}")
    assert done.stderr.count("\n") == 1
