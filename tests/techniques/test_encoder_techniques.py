"""freeze-encoder, cached-features, scale-model, allocator, thread-tuning: what each alone does."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.baseline import Settings
from bench.errors import Clash, NotApplicable
from bench.job import FixedItems, Job, Progress
from bench.model.varied import varied
from bench.records.measurement import Measurement, Status
from bench.trial.rehearsal import rehearse
from bench.trial.training import train
from optimizers import thread_tuning
from optimizers.allocator import Allocator
from optimizers.cached_features import CachedFeatures
from optimizers.freeze_encoder import FreezeEncoder
from optimizers.low_rank import LowRank
from optimizers.scale_model import ScaleModel
from optimizers.thread_tuning import ThreadTuning, candidates
from tests.contract.cases import SMALL, Case
from tests.jobs import Labelled, linear_job
from tests.records import failed, measurement

ROOT = Path(__file__).resolve().parents[2]


class Counting(nn.Module):
    """An encoder that counts the items it sees."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        found: Tensor = self.inner(x)
        return found


def encoded(inner: nn.Module | None = None, fixed: bool = True, **parts: Any) -> Job:
    """Return a job of 32 points and 3 epochs whose model is an encoder and a head."""
    torch.manual_seed(0)
    model = nn.Sequential(Counting(inner or nn.Linear(6, 5)), nn.Linear(5, 2))
    plain = linear_job()
    shuffle = torch.Generator().manual_seed(0)
    whole = list(linear_job().batches(Progress(1)))
    x, y = (torch.cat([batch[k] for batch in whole]) for k in (0, 1))

    def rows(progress: Progress) -> Any:
        return torch.split(torch.randperm(len(x), generator=shuffle), 8)

    items = FixedItems(len(x), rows, lambda chosen: Labelled(x[chosen], y[chosen]))
    made: dict[str, Any] = {
        "model": model, "encoder": "0", "fixed": items if fixed else None, "loss": plain.loss,
        "batches": lambda progress: map(items.take, rows(progress)),
    }  # fmt: skip
    return replace(plain, **{**made, **parts})


def frozen(job: Job) -> Job:
    return FreezeEncoder().apply(job)


def seen(job: Job) -> int:
    encoder = job.model.get_submodule("0")
    assert isinstance(encoder, Counting)
    return encoder.seen


def test_a_frozen_encoder_keeps_its_weights_and_stays_in_evaluation_mode() -> None:
    job = frozen(encoded(nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.9))))
    before = [p.clone() for p in job.model.get_submodule("0").parameters()]
    head = job.model.get_submodule("1").weight
    assert isinstance(head, Tensor)
    first = head.clone()
    train(job)
    after = list(job.model.get_submodule("0").parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not torch.equal(first, head)
    job.model.train()
    assert not any(module.training for module in job.model.get_submodule("0").modules())
    assert job.model.get_submodule("1").training


def test_nothing_is_kept_for_a_frozen_encoders_backward_pass() -> None:
    job = frozen(encoded())
    assert not job.model.get_submodule("0")(torch.randn(2, 6, requires_grad=True)).requires_grad


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (linear_job, "names no part of its model as an encoder"),
        (lambda: frozen(encoded()), "is frozen already"),
        (lambda: encoded(model=nn.Sequential(nn.Linear(6, 2))), "nothing but the encoder"),
    ],
)
def test_where_nothing_can_be_frozen_it_does_not_apply(
    make: Callable[[], Job], reason: str
) -> None:
    with pytest.raises(NotApplicable, match=reason):
        FreezeEncoder().apply(make())


@pytest.mark.parametrize("store", ["memory", "file"])
def test_cached_features_give_the_same_losses_and_each_item_is_encoded_once(store: str) -> None:
    """To rounding: a product's last bit may depend on the row in which an item stands."""
    plain = frozen(encoded())
    cached = CachedFeatures(store=store).apply(frozen(encoded()))
    before = seen(cached)
    assert train(cached).losses == pytest.approx(train(plain).losses, rel=1e-5)
    assert seen(plain) == 3 * 32 + 32  # the evaluation at the end
    assert seen(cached) - before == 32 + 32


@pytest.mark.parametrize("at_once", [1, 5, 32, 50])
def test_however_many_items_are_encoded_together_the_losses_are_the_same(at_once: int) -> None:
    plain = frozen(encoded())
    cached = CachedFeatures(at_once=at_once).apply(frozen(encoded()))
    assert train(cached).losses == pytest.approx(train(plain).losses, rel=1e-5)


def test_what_is_evaluated_goes_through_the_encoder_itself() -> None:
    job = CachedFeatures().apply(frozen(encoded()))
    train(job)
    x = torch.randn(3, 6)
    head, inner = job.model.get_submodule("1"), job.model.get_submodule("0.inner")
    assert torch.equal(job.model(x), head(inner(x)))


def test_held_out_items_are_encoded_once_too() -> None:
    held = torch.randn(4, 6)

    def validate(model: nn.Module) -> float:
        with torch.no_grad():
            return float(model(held).sum())

    job = CachedFeatures().apply(frozen(encoded(validate=validate)))
    before = seen(job)
    assert job.validate is not None
    assert job.validate(job.model) == job.validate(job.model) == validate(job.model)
    assert seen(job) - before == 4 + 4  # once for both, once for the plain call


class Drawing(nn.Module):
    """Adds noise in evaluation mode too."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :5] + torch.rand(len(x), 5)


class Mixing(nn.Module):
    """Subtracts the mean of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :5] - x[:, :5].mean(0)


def normed(**options: Any) -> Job:
    """Return a job whose encoder is frozen, and its batch norm left in training mode."""
    job = encoded(nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, **options)))
    job.model.get_submodule("0").requires_grad_(False)
    return job


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (linear_job, "names no part of its model as an encoder"),
        (encoded, r"trains: 35 of its weights.*freeze-encoder"),
        (lambda: frozen(encoded(fixed=False)), "augmentation"),
        (lambda: encoded(Drawing()), "other outputs for the same items"),
        (lambda: encoded(Mixing()), "other outputs for the same items"),
        (lambda: encoded(nn.Sequential(nn.Dropout(0.5), Mixing())), "other outputs"),
        (lambda: normed(track_running_stats=True), "put it into evaluation mode"),
        (lambda: normed(track_running_stats=False), "put it into evaluation mode"),
    ],
)
def test_features_that_may_change_are_not_cached(make: Callable[[], Job], reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        CachedFeatures().apply(make())


def test_batches_that_another_technique_changed_are_a_clash() -> None:
    job = frozen(encoded()).wrap("batches", lambda old: old, by="crops")
    with pytest.raises(Clash, match="cached-features and crops both replace the job's batches"):
        CachedFeatures().apply(job)


@pytest.mark.parametrize("store", ["memory", "file"])
def test_texts_and_numbers_of_a_batch_stay_with_its_items(store: str) -> None:
    x, y = torch.randn(32, 6), torch.arange(32) % 2
    shuffle = torch.Generator().manual_seed(0)

    def take(rows: Tensor) -> Any:
        texts = [str(int(row)) for row in rows]
        return {"x": x[rows], "text": texts, "y": y[rows], "scale": torch.tensor(2.0)}

    def loss(model: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(model(batch["x"]), batch["y"])

    items = FixedItems(32, lambda p: torch.split(torch.randperm(32, generator=shuffle), 8), take)
    job = replace(frozen(encoded(loss=loss)), fixed=items, batches=items.batches)
    cached = CachedFeatures(store=store, at_once=5).apply(job)
    encoder = job.model.get_submodule("0")
    for batch in cached.batches(Progress(3)):
        rows = [int(text) for text in batch["text"]]
        assert torch.allclose(batch["x"], encoder(x[rows]), atol=1e-6)
        assert batch["y"].tolist() == y[rows].tolist()
        assert batch["scale"] == 2.0


def test_features_are_made_anew_of_an_encoder_that_is_changed_in_the_midst() -> None:
    def job() -> Job:
        inner = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 5))
        return LowRank(after=0.5).apply(frozen(encoded(inner)))

    plain, cached = train(job()).losses, train(CachedFeatures().apply(job())).losses
    assert cached == pytest.approx(plain, rel=1e-5)


def thawed_later(optimizer: Any, progress: Progress) -> None:
    """Train the encoder too, from the last epoch on."""
    if progress.epoch == 2:
        optimizer.held.get_submodule("0").requires_grad_(True)


def holding(model: nn.Module) -> Any:
    """Make an optimizer that holds its model."""
    made: Any = torch.optim.SGD(model.parameters(), lr=0.05)
    made.held = model
    return made


def thawing() -> Job:
    job = encoded(make_optimizer=holding, schedule=thawed_later)
    job.model.get_submodule("0").requires_grad_(False)
    return job


def test_features_of_an_encoder_that_is_thawed_later_are_refused() -> None:
    with pytest.raises(NotApplicable, match="the encoder trains from some epoch on"):
        train(CachedFeatures().apply(thawing()))
    with pytest.raises(NotApplicable, match="the encoder trains from some epoch on"):
        rehearse(CachedFeatures().apply(thawing()))


def test_an_encoder_that_freeze_encoder_holds_is_not_thawed_by_the_baseline() -> None:
    def job() -> Job:
        return frozen(encoded(make_optimizer=holding, schedule=thawed_later))

    plain, cached = train(job()).losses, train(CachedFeatures().apply(job())).losses
    assert cached == pytest.approx(plain, rel=1e-5)


def test_features_of_an_encoder_that_is_moved_in_each_update_are_refused() -> None:
    def update(optimizer: Any) -> None:
        optimizer.step()
        with torch.no_grad():
            for weight in job.model.get_submodule("0").parameters():
                weight.lerp_(torch.ones_like(weight), 0.01)

    job = frozen(encoded(update=update))
    with pytest.raises(NotApplicable, match="weights or buffers change while the rest trains"):
        train(CachedFeatures().apply(job))


def test_features_stay_where_weights_are_changed_for_a_look_and_put_back() -> None:
    def update(optimizer: Any) -> None:
        optimizer.step()
        with varied(job.model):
            pass

    job = frozen(encoded(update=update))
    cached = CachedFeatures().apply(job)
    before = seen(cached)
    train(cached)
    assert seen(cached) - before == 32 + 32  # each item once, and the evaluation at the end


@pytest.mark.parametrize("store", ["memory", "file"])
def test_cached_features_of_the_ecg_baseline_are_bit_equal(store: str) -> None:
    case = Case("s4-ecg", {**SMALL["s4-ecg"], "frozen": True})
    plain, cached = train(case.job()), train(case.job(f"cached-features:store={store}"))
    assert cached.losses == plain.losses
    assert cached.evaluations[-1].values == plain.evaluations[-1].values


def test_depth_and_width_are_scaled_by_their_factors() -> None:
    case = Case("s4-ecg", {**SMALL["s4-ecg"], "layers": 36, "residual": 256, "skip": 256})
    settings = case.recipe("scale-model")[0].settings
    assert (settings["layers"], settings["residual"], settings["skip"]) == (12, 128, 128)
    wide = case.recipe("scale-model:depth=0.5,width=1")[0].settings
    assert (wide["layers"], wide["residual"]) == (18, 256)


def test_settings_that_stay_as_they_are_do_not_apply() -> None:
    case = Case("s4-ecg", {**SMALL["s4-ecg"], "layers": 1, "residual": 1, "skip": 1})
    with pytest.raises(NotApplicable, match="layers=1, residual=1, skip=1 stay as they are"):
        case.recipe("scale-model")


def test_settings_without_marks_do_not_apply() -> None:
    with pytest.raises(NotApplicable, match="marks none of its settings"):
        ScaleModel().configure(Settings(), None)  # type: ignore[arg-type]  # never probed


def test_another_c_library_does_not_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    with pytest.raises(NotApplicable, match="with no known C library"):
        Allocator().apply(linear_job())


def test_tensors_on_another_device_do_not_apply() -> None:
    with pytest.raises(NotApplicable, match="tensors on cuda don't come from the C allocator"):
        Allocator().apply(linear_job(device=torch.device("cuda")))


FREEING = """
import sys, torch
from bench.machine.memory import resident
from optimizers.allocator import Allocator
from tests.jobs import linear_job

Allocator(policy=sys.argv[1]).apply(linear_job())
blocks = [torch.ones(2**18) for _ in range(256)]  # 1 MiB each
full = resident().now
del blocks[::2]
print((full - resident().now) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is of glibc")
@pytest.mark.parametrize(("policy", "least", "most"), [("keep", -8, 8), ("return", 120, 136)])
def test_freed_blocks_between_living_ones_are_kept_or_returned(
    policy: str, least: int, most: int
) -> None:
    command = [sys.executable, "-c", FREEING, policy]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert least <= int(done.stdout) <= most


def machine(speeds: dict[int, float], cores: int = 4) -> Callable[..., Measurement]:
    """Return a probe on a machine where an item takes so long by threads; all cores by default."""

    def probe(settings: Any, memory_limit_bytes: int | None = None) -> Measurement:
        threads = settings.threads or cores
        if threads not in speeds:
            return failed("thread-tuning", 0, Status.FAILED, "no such number")
        return measurement(seconds=speeds[threads]).model_copy(update={"threads": threads})

    return probe


@pytest.fixture
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_tuning, "usable_cores", lambda: 4)


@pytest.mark.usefixtures("_four_cores")
def test_the_fastest_number_of_threads_is_written_into_the_settings() -> None:
    probe = machine({1: 3.0, 2: 1.0, 4: 2.0})
    assert ThreadTuning().configure(Settings(), probe).threads == 2


@pytest.mark.usefixtures("_four_cores")
@pytest.mark.parametrize("speeds", [{1: 3.0, 2: 2.0, 4: 1.0}, {1: 1.0, 2: 0.99, 4: 1.0}])
def test_where_all_cores_are_the_fastest_it_does_not_apply(speeds: dict[int, float]) -> None:
    with pytest.raises(NotApplicable, match="threads=4, as it is, is the fastest of 1, 2, 4"):
        ThreadTuning().configure(Settings(), machine(speeds))


@pytest.mark.usefixtures("_four_cores")
def test_a_number_that_fails_is_not_used() -> None:
    assert ThreadTuning().configure(Settings(), machine({1: 1.0, 4: 2.0})).threads == 1


@pytest.mark.usefixtures("_four_cores")
def test_a_training_that_sets_its_threads_itself_is_not_tuned() -> None:
    def probe(settings: Any, memory_limit_bytes: int | None = None) -> Measurement:
        return measurement(seconds=float(settings.threads or 9)).model_copy(update={"threads": 4})

    said = r"the training sets its number of threads itself \(4, where it was given 1\)"
    with pytest.raises(NotApplicable, match=said):
        ThreadTuning().configure(Settings(), probe)


def test_numbers_double_up_to_the_cores() -> None:
    assert [candidates(n) for n in (2, 4, 6, 8)] == [[1, 2], [1, 2, 4], [1, 2, 4, 6], [1, 2, 4, 8]]
