"""The fast loss and its gradients against the straightforward reference, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from baselines.timehut import TimeHUTSettings
from baselines.timehut.crops import Crop, cut, draw_crop
from baselines.timehut.encoder import TSEncoder
from baselines.timehut.losses import LARGE_MATRIX, LossSettings, hierarchical_loss
from tests.reference.timehut import ReferenceEncoder, encode_views, hierarchical

TAU = 0.37
CASES = [  # series, steps, channels, share of NaN
    (4, 24, 1, 0.0),
    (3, 37, 2, 0.0),
    (2, 3, 1, 0.0),
    (5, 61, 3, 0.2),
    (2, 150, 1, 0.0),
]


def loss_settings(settings: TimeHUTSettings) -> LossSettings:
    return LossSettings(
        settings.alpha,
        settings.amc_instance,
        settings.amc_temporal,
        settings.amc_margin,
        settings.temporal_tau,
    )


def encoders(channels: int, settings: TimeHUTSettings) -> tuple[TSEncoder, ReferenceEncoder]:
    ours = TSEncoder(channels, settings.output, settings.hidden, settings.depth)
    reference = ReferenceEncoder(channels, settings)
    reference.take_weights(ours)
    return ours.double().eval(), reference.double().eval()


def both_losses(
    ours: TSEncoder,
    reference: ReferenceEncoder,
    x: Tensor,
    crop: Crop,
    settings: TimeHUTSettings,
    full: bool = False,
) -> tuple[Tensor, Tensor]:
    pair, views = cut(x, crop, full)
    mask = torch.rand(pair.shape[:2]) < 0.7
    first, second = mask.chunk(2)
    masks = (first[:, : views.lengths[0]], second[:, : views.lengths[1]])
    fast = hierarchical_loss(views.common(ours(pair, views, mask)), TAU, loss_settings(settings))
    return fast, hierarchical(*encode_views(reference, x, crop, masks), TAU, settings)


def small(**changes: Any) -> TimeHUTSettings:
    return TimeHUTSettings(**{"hidden": 8, "output": 12, "depth": 5, **changes})


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("order", "full"), [("divide", False), ("rescale", False), ("divide", True)]
)
def test_loss_and_gradients_agree_with_the_reference(
    case: tuple[int, int, int, float], order: str, full: bool
) -> None:
    rows, steps, channels, missing = case
    torch.manual_seed(steps)
    settings = small(temporal_tau=order)
    random = torch.Generator().manual_seed(1)
    for _ in range(4):
        ours, reference = encoders(channels, settings)
        x = torch.randn(rows, steps, channels, dtype=torch.float64)
        x[torch.rand(rows, steps, channels) < missing] = torch.nan
        crop = draw_crop(rows, steps, random)
        fast, slow = both_losses(ours, reference, x, crop, settings, full)
        torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-9)
        fast.backward()  # type: ignore[no-untyped-call]  # torch
        slow.backward()  # type: ignore[no-untyped-call]  # torch
        theirs = dict(reference.named_parameters())
        for name, parameter in ours.named_parameters():
            assert parameter.grad is not None, name
            expected = theirs[name].grad
            assert expected is not None, name
            torch.testing.assert_close(
                parameter.grad.reshape(expected.shape), expected, rtol=1e-7, atol=1e-9
            )


def test_the_default_encoder_agrees_with_the_reference_on_a_short_series() -> None:
    torch.manual_seed(0)
    settings = TimeHUTSettings()
    ours, reference = encoders(1, settings)
    x = torch.randn(8, 24, 1, dtype=torch.float64)
    fast, slow = both_losses(ours, reference, x, Crop(1, 3, 20, 24, (0,) * 8), settings)
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=0)


@pytest.mark.parametrize("changes", [{"alpha": 0.0}, {"alpha": 1.0}, {"amc_instance": 0.0}])
def test_terms_can_be_switched_off(changes: dict[str, float]) -> None:
    torch.manual_seed(3)
    settings = small(**changes)
    ours, reference = encoders(1, settings)
    x = torch.randn(3, 20, 1, dtype=torch.float64)
    fast, slow = both_losses(ours, reference, x, Crop(0, 2, 15, 20, (0, 0, 0)), settings)
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-9)


def test_a_single_series_has_no_instance_loss() -> None:
    z = torch.randn(1, 6, 4, dtype=torch.float64)
    assert float(hierarchical_loss(z, TAU, LossSettings(alpha=1.0))) == 0.0


@pytest.mark.parametrize("tau", [0.4, 1.0])
@pytest.mark.parametrize("rows", [1, 3])
def test_the_gradient_is_the_numerical_one(rows: int, tau: float) -> None:
    torch.manual_seed(0)
    z = torch.randn(rows, 10, 3, dtype=torch.float64, requires_grad=True)
    settings = LossSettings(alpha=0.3, amc_instance=1.5, amc_temporal=0.7, margin=1.2)
    way = torch.randn_like(z) * 1e-6
    with torch.no_grad():
        ahead, behind = (float(hierarchical_loss(z + w, tau, settings)) for w in (way, -way))
    hierarchical_loss(z, tau, settings).backward()  # type: ignore[no-untyped-call]  # torch
    assert z.grad is not None
    assert float((z.grad * way).sum()) == pytest.approx((ahead - behind) / 2, rel=1e-5)


def test_large_matrices_give_in_single_precision_what_small_ones_give() -> None:
    torch.manual_seed(0)
    z = torch.randn(3, 2 * LARGE_MATRIX, 8) * 0.3
    results = []
    for one in (z.clone(), z.double()):
        loss = hierarchical_loss(one.requires_grad_(), TAU, LossSettings())
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        assert one.grad is not None
        results.append((loss.detach().double(), one.grad.double()))
    (loss, gradient), (expected, its_gradient) = results
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    scale = float(its_gradient.abs().max())
    torch.testing.assert_close(gradient, its_gradient, rtol=0, atol=1e-4 * scale)


def test_the_loss_refuses_to_be_differentiated_twice() -> None:
    loss = hierarchical_loss(torch.randn(2, 6, 3, requires_grad=True), TAU, LossSettings())
    loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]  # torch
    with pytest.raises(RuntimeError, match="only once"):
        loss.backward()  # type: ignore[no-untyped-call]  # torch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_rows_have_a_finite_gradient(dtype: torch.dtype) -> None:
    z = torch.ones(4, 8, 5, dtype=dtype, requires_grad=True)
    loss = hierarchical_loss(z, 0.15, LossSettings())
    loss.backward()  # type: ignore[no-untyped-call]  # torch
    assert torch.isfinite(loss)
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_large_representations_neither_overflow_nor_lose_the_loss() -> None:
    z = (torch.randn(4, 8, 5) * 1e3).requires_grad_()
    loss = hierarchical_loss(z, 0.15, LossSettings())
    loss.backward()  # type: ignore[no-untyped-call]  # torch
    assert torch.isfinite(loss)
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_bfloat16_autocast_computes_the_loss_in_float32() -> None:
    torch.manual_seed(0)
    encoder = TSEncoder(1, 12, 8, 4)
    pair, views = cut(torch.randn(4, 24, 1), Crop(0, 2, 20, 24, (0,) * 4))
    with torch.autocast("cpu", torch.bfloat16):
        z = views.common(encoder(pair, views))
        loss = hierarchical_loss(z, TAU, LossSettings())
    loss.backward()  # type: ignore[no-untyped-call]  # torch
    assert z.dtype == torch.bfloat16
    assert loss.dtype == torch.float32
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


@pytest.mark.parametrize(("trains", "products"), [(False, 1), (True, 2)])
def test_the_gram_matrices_are_seen_by_the_flop_counter(trains: bool, products: int) -> None:
    z = torch.randn(2, 16, 5, requires_grad=trains)  # 2 series, 8 steps of either view
    with FlopCounterMode(display=False) as counter:
        hierarchical_loss(z, TAU, LossSettings())
    lengths = (8, 4, 2, 1)
    instance = sum(2 * t * 4 * 4 * 5 for t in lengths)
    temporal = sum(2 * 2 * (2 * t) ** 2 * 5 for t in lengths if t > 1)
    assert counter.get_total_flops() == products * (instance + temporal)
