"""The encoder: its size, its masks, its crops, and what padding may not do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.timehut import TimeHUTSettings, masks
from baselines.timehut.crops import cut, draw_crop, rounded
from baselines.timehut.encoder import Block, TSEncoder
from tests.reference.timehut import ReferenceEncoder

CPU = torch.device("cpu")


def test_the_encoder_has_the_published_number_of_parameters() -> None:
    encoder = TSEncoder(1)
    assert sum(p.numel() for p in encoder.parameters()) == 637_248
    assert isinstance(encoder.blocks, nn.ModuleList)
    assert len(encoder.blocks) == 11
    assert all(isinstance(block, Block) for block in encoder.blocks)


@pytest.mark.parametrize("steps", [1, 2, 5, 24, 100])
def test_a_plain_call_agrees_with_the_reference_at_every_length(steps: int) -> None:
    torch.manual_seed(steps)
    settings = TimeHUTSettings(hidden=8, output=12, depth=5)
    ours = TSEncoder(2, 12, 8, 5).double().eval()
    reference = ReferenceEncoder(2, settings)
    reference.take_weights(ours)
    x = torch.randn(3, steps, 2, dtype=torch.float64)
    z = ours(x)
    assert z.shape == (3, steps, 12)
    torch.testing.assert_close(z, reference.double().eval()(x), rtol=1e-10, atol=1e-10)


def test_a_missing_value_hides_its_step_and_leaves_the_input_alone() -> None:
    encoder = TSEncoder(2, 12, 8, 3).eval()
    x = torch.randn(2, 10, 2)
    x[0, 4, 1] = torch.nan
    before = x.clone()
    other = x.clone()
    other[0, 4, 0] = 99.0
    assert encoder(x).isfinite().all()
    torch.testing.assert_close(encoder(x), encoder(other), rtol=0, atol=0)
    torch.testing.assert_close(x, before, equal_nan=True, rtol=0, atol=0)


def test_evaluation_hides_nothing_and_training_hides_about_half() -> None:
    encoder = TSEncoder(1, 12, 8, 3)
    x = torch.randn(4, 30, 1)
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x, None, torch.ones(4, 30, dtype=torch.bool)))
    share = masks.draw("binomial", 100, 100, CPU).double().mean()
    assert 0.47 < float(share) < 0.53


def test_masks_hide_what_their_names_say() -> None:
    assert masks.draw("all_true", 2, 5, CPU).all()
    assert not masks.draw("all_false", 2, 5, CPU).any()
    last = masks.draw("mask_last", 2, 5, CPU)
    assert last[:, :4].all()
    assert not last[:, 4].any()
    hidden = (~masks.draw("continuous", 50, 100, CPU)).sum(dim=1)
    assert int(hidden.min()) >= 10
    assert int(hidden.max()) <= 50


def test_a_masks_generator_fixes_it_and_spares_the_global_one() -> None:
    state = torch.get_rng_state()
    kinds = [
        [masks.draw(kind, 4, 20, CPU, torch.Generator().manual_seed(5)) for _ in range(2)]
        for kind in ("binomial", "continuous")
    ]
    assert all(torch.equal(first, second) for first, second in kinds)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("steps", [2, 3, 24, 143])
def test_both_views_share_their_common_part_and_stay_inside_the_series(steps: int) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.arange(4.0 * steps).reshape(4, steps, 1)
    seen = set()
    for _ in range(300):
        crop = draw_crop(4, steps, random)
        assert 0 <= crop.outer_left <= crop.left < crop.right <= crop.outer_right <= steps
        assert all(-crop.outer_left <= o <= steps - crop.outer_right for o in crop.offsets)
        pair, views = cut(x, crop)
        first, second = pair.chunk(2)
        common = first[:, views.lengths[0] - views.overlap : views.lengths[0]]
        assert torch.equal(common, second[:, : views.overlap])
        expected = x[torch.arange(4), crop.left + torch.tensor(crop.offsets)]
        assert torch.equal(second[:, 0], expected)
        seen.add(views.overlap)
    assert min(seen) == 2
    assert max(seen) == steps or steps > 100


def test_lengths_are_rounded_to_about_a_dozen() -> None:
    for steps in (24, 286, 640, 1000):
        lengths = {rounded(length, steps) for length in range(1, steps + 1)}
        assert len(lengths) <= 13
        assert all(rounded(length, steps) >= length for length in range(1, steps + 1))


def test_what_pads_a_view_does_not_leak_into_it() -> None:
    torch.manual_seed(0)
    encoder = TSEncoder(1, 12, 8, 4).double().eval()
    crop = draw_crop(3, 50, torch.Generator().manual_seed(2))
    pair, views = cut(torch.randn(3, 50, 1, dtype=torch.float64), crop)
    noisy = pair.clone()
    noisy[:3, views.lengths[0] :] = 1e6
    noisy[3:, views.lengths[1] :] = -1e6
    assert pair.shape[1] > min(views.lengths)
    common = views.common(encoder(pair, views))
    torch.testing.assert_close(common, views.common(encoder(noisy, views)), rtol=0, atol=0)
