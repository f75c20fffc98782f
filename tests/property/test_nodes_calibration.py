"""How often verdicts over several nodes are wrong: simulated nodes, of other speeds and noise."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis.estimate import Values
from bench.analysis.levels import MOST, Rule
from bench.analysis.nodes import Labels, by_nodes
from bench.analysis.sequential import LEAST, Answer, Objective, answers
from tests.property.test_sequential_calibration import kept, share

RUNS = 2000
HALF = Rule(alpha=0.025)


def placed(speeds: list[float], pairs: int = MOST) -> Labels:
    """Return which node has each pair where a node takes the next as soon as it is idle."""
    idle = np.zeros(len(speeds))
    chosen = []
    for _ in range(pairs):
        node = int(idle.argmin())
        idle[node] += 1 / speeds[node]
        chosen.append(node)
    return np.array(chosen)


def measured(
    nodes: Labels, noises: list[float], truth: float = LEAST, apart: float = 0.0, seed: int = 1
) -> Values:
    """Return log ratios of runs: of what the change gains on each node, and that node's noise."""
    random = np.random.default_rng(seed)
    gains = truth + apart * random.normal(size=(RUNS, max(nodes) + 1))
    noise = random.normal(size=(RUNS, len(nodes))) * np.array(noises)[nodes]
    return np.asarray(gains[:, nodes] + noise)


def called_better(logs: Values, nodes: Labels | None) -> float:
    objective = Objective("time", logs, nodes=nodes)
    return share(answers([objective], kept(logs.shape), HALF)[0], Answer.WIN)


@pytest.mark.parametrize("noises", [[0.03, 0.03], [0.01, 0.06], [0.06, 0.01]])
def test_equal_code_on_nodes_of_which_one_is_twice_as_fast_keeps_its_level(
    noises: list[float],
) -> None:
    nodes = placed([2.0, 1.0])
    assert np.bincount(nodes).tolist() == [20, 10]
    assert called_better(measured(nodes, noises), nodes) <= 0.03


@pytest.mark.parametrize(("count", "most"), [(2, 0.13), (4, 0.04), (8, 0.03)])
def test_what_nodes_disagree_about_is_rarely_called_a_gain_of_all_the_nodes_there_are(
    count: int, most: float
) -> None:
    """Nodes of many that gain nothing on average: of two the verdict says that these two gain."""
    nodes = placed([2.0, 1.0] * (count // 2))
    logs = measured(nodes, [0.02] * count, apart=0.05)
    assert called_better(logs, nodes) <= most < called_better(logs, None) / 2


def test_what_two_nodes_disagree_about_is_hardly_ever_called_a_gain_of_these_two() -> None:
    nodes = placed([2.0, 1.0])
    own = np.random.default_rng(1).normal(size=(RUNS, 1)) * 0.1 * np.array([1.0, -1.0])
    noise = measured(nodes, [0.02, 0.02])
    assert called_better(noise + own[:, nodes], nodes) <= 0.03


def test_a_gain_that_all_nodes_have_is_found_as_soon_as_on_one_machine() -> None:
    nodes = placed([2.0, 1.0])
    logs = measured(nodes, [0.03, 0.03], truth=float(np.log(1.1)))
    assert called_better(logs, nodes) >= called_better(logs, None) - 0.03 >= 0.9


def test_the_spread_between_nodes_is_in_the_interval() -> None:
    nodes = np.array([0, 1, 2, 3] * 3)
    gains = np.log([1.0, 1.1, 1.2, 1.3])[nodes]
    random = np.random.default_rng(2)
    found = by_nodes(gains + 0.001 * random.normal(size=12), nodes, 0.0, clip=False)
    assert bool(found.apart)
    assert int(found.known) == 4
    assert float(found.error) == pytest.approx(np.log([1.0, 1.1, 1.2, 1.3]).std(ddof=1) / 2, 0.02)


def test_pairs_that_are_looked_at_as_they_come_back_are_biased_and_in_order_are_not() -> None:
    """Eight nodes at once: the pairs that are back first are those whose candidate was quick."""
    random = np.random.default_rng(3)
    base, candidate = (np.exp(0.2 * random.normal(size=(RUNS, MOST))) for _ in range(2))
    logs = np.log(base / candidate) + LEAST
    back = np.argsort(base + candidate**3, axis=-1)
    as_they_come = np.take_along_axis(logs, back, -1)
    assert called_better(logs, None) <= 0.03
    assert called_better(as_they_come, None) > 0.1
