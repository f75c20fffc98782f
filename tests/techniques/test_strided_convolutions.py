"""channels-last and compile beside a fault of oneDNN: 1x1 convolutions with a stride, on AVX2."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest
import torch
from torch import nn

from bench.errors import NotApplicable
from bench.model.strided_convolutions import SampledConv2d, is_at_risk, sample_before_striding
from optimizers.channels_last import ChannelsLast
from tests.jobs import job_of

TRAINED = textwrap.dedent(
    """
    import sys
    import torch
    from torch import nn
    from optimizers.channels_last import ChannelsLast
    from optimizers.compile import Compile
    from tests.techniques.test_strided_convolutions import job_with

    for threads, channels in {cases}:
        torch.set_num_threads(threads)
        gradients = []
        for technique in (None, {technique}()):
            torch.manual_seed(0)
            job = job_with(channels)
            job = technique.apply(job) if technique else job
            for step in range({steps}):
                job.model.zero_grad()
                for batch in job.batches(None):
                    job.loss(job.model, batch).backward()
            gradients.append([p.grad for p in job.model.parameters()])
        for one, other in zip(*gradients):
            torch.testing.assert_close(one, other)
    """
)


def job_with(channels: int, kind: type[nn.Conv2d] = nn.Conv2d, **options: object):  # type: ignore[no-untyped-def]
    """Return the job of a net with a 1x1 convolution, by default with a stride of 2."""
    net = nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(),
        kind(channels, 13, 1, **{"stride": 2, **options}),  # type: ignore[arg-type]  # by name
        nn.Flatten(), nn.LazyLinear(2),
    )  # fmt: skip
    x = torch.randn(32, 3, 6, 10, generator=torch.Generator().manual_seed(0))
    net(x)
    return job_of(net, x, (x.sum((1, 2, 3)) > 0).long())


def on_avx2(program: str) -> None:
    """Run a program where oneDNN uses AVX2 at most; its failure fails the test, a signal too."""
    ended = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, f"ended with {ended.returncode}: {ended.stderr[-2000:]}"


def test_channels_last_trains_strided_1x1_convolutions_of_few_channels_rightly_on_avx2() -> None:
    on_avx2(TRAINED.format(technique="ChannelsLast", steps=30, cases=((1, 6), (1, 2), (2, 3))))


@pytest.mark.slow
def test_compile_trains_strided_1x1_convolutions_of_few_channels_rightly_on_avx2() -> None:
    on_avx2(TRAINED.format(technique="Compile", steps=30, cases=((2, 3),)))


@pytest.mark.parametrize("channels", [2, 6, 7, 8, 13])
@pytest.mark.parametrize("stride", [2, (2, 1), 3])
def test_a_convolution_that_samples_first_answers_as_before(channels: int, stride: object) -> None:
    plain = nn.Conv2d(channels, 5, 1, stride=stride)  # type: ignore[arg-type]  # any of torch's
    x = torch.randn(2, channels, 7, 10)
    expected = plain(x)
    sample_before_striding(nn.Sequential(plain))
    assert type(plain) is SampledConv2d
    torch.testing.assert_close(plain(x), expected)


@pytest.mark.parametrize(
    ("channels", "options"),
    [
        (1, {"stride": 2}), (8, {"stride": 2}), (9, {"stride": 2}), (6, {}),
        (6, {"stride": 2, "padding": 1}), (6, {"stride": 2, "groups": 2}),
    ],
)  # fmt: skip
def test_convolutions_that_were_seen_to_be_right_are_computed_as_they_are(
    channels: int, options: dict[str, Any]
) -> None:
    assert not is_at_risk(nn.Conv2d(channels, 12, 1, **options))


def test_only_1x1_convolutions_are_at_risk() -> None:
    assert not is_at_risk(nn.Conv2d(6, 12, 3, stride=2))
    assert is_at_risk(nn.Conv2d(6, 12, 1, stride=(1, 2), padding="valid"))


def test_a_derived_convolution_at_risk_is_refused_with_its_name() -> None:
    class Own(nn.Conv2d):
        pass

    with pytest.raises(NotApplicable, match=r"2 is a Own: a 1x1 convolution of 6 input channels"):
        ChannelsLast().apply(job_with(6, Own))
    ChannelsLast().apply(job_with(8, Own))
