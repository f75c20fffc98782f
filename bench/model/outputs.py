"""Check which inputs a model accepts, and whether its outputs are scores of classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from bench.batches import Batch, Inputs, Outputs
from bench.errors import NotApplicable
from bench.job import Job, Loss
from bench.model.calls import arguments, ask
from bench.model.nested import mapped, rows_in, scores_in, tensors_in
from bench.model.train_mode import evaluating
from bench.model.untouched import untouched
from bench.random_state import undisturbed
from bench.targets import Targets, check_shares

TOLERANCE = 1e-3
"""How far, relatively, the loss of one-hot probabilities may lie from that of the classes."""
UNSEEN = 1e-6
"""By how much, relatively, a loss changes at most with what it doesn't look at."""
FAILURES = (
    RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError,
    ArithmeticError,
)  # fmt: skip
"""What models raise at inputs that they don't take."""
MOST_ALONE = 32
"""Of how many classes, at most, the loss is compared in a batch of one class alone."""


def objection(job: Job, inputs: Inputs) -> str | None:
    """Run the model on inputs in evaluation mode; return what it says against them, if anything.

    The model is left as it was.
    """
    try:
        with torch.no_grad(), untouched(job.model), evaluating(job.model):
            ask(job.model, inputs)
    except FAILURES as error:
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return None


def checked_scores(job: Job) -> None:
    """See that a model's outputs, or a part of them, are scores of classes or labels.

    These are ``(items, scores)``; other parts must have a mean too.
    Raises `NotApplicable` otherwise: the mean of two embeddings, say, means nothing.
    """
    if job.targets is None:
        raise NotApplicable(
            "the baseline doesn't say that its outputs are scores: its job has no targets"
        )
    if said := objection(job, job.sample(2)):
        raise NotApplicable(f"the model does not take its own sample: {said}")
    with torch.no_grad(), untouched(job.model), evaluating(job.model):
        found = ask(job.model, job.sample(2))
    scores = scores_in(found)
    if scores.dim() != 2 or not all(part.is_floating_point() for part in tensors_in(found)):
        shapes = " and ".join(f"{tuple(part.shape)} of {part.dtype}" for part in tensors_in(found))
        raise NotApplicable(f"the model's answer to two items, {shapes}, is no row of scores each")


def check_classes(job: Job, batch: Batch, loss: Loss) -> int:
    """Return which of the `rows_in` a model's answers a loss takes for scores of classes.

    Of several it changes with them, but not when all scores of an item rise alike, unless they are
    logarithms of probabilities already. What a model calls logits is taken to be that: the loss may
    be its own, made of them before they are seen.
    Raises `NotApplicable` where it takes none for such scores.
    """
    plain, answers = _changed(job, batch, loss)
    said = ""
    parts = min(map(len, answers), default=0)
    for part in range(parts):
        raised: float | None = None
        try:
            if parts > 1 and _alike(_changed(job, batch, loss, part, _uneven)[0], plain, UNSEEN):
                continue  # features, say, that the loss doesn't look at
            raised = _changed(job, batch, loss, part, lambda x: x + 1)[0]
        except FAILURES as error:
            higher = str(error).strip().partition("\n")[0] or type(error).__name__
        else:
            higher = f"{raised:.4g}"
        if raised is not None and _alike(raised, plain, TOLERANCE):
            return part
        if all(_are_logarithms(found[part]) for found in answers):
            return part
        said = said or f"where the model's answers are 1 higher, {higher}"
    if not answers:  # unheard, as is said where they are compared
        return 0
    raise NotApplicable(
        f"the loss is {plain:.4g} and, {said or 'with any answers of the model, the same'}: they "
        "are no scores of classes; say what they are with the job's `targets`"
    )


def _changed(
    job: Job, batch: Batch, loss: Loss, part: int = 0,
    change: Callable[[Tensor], Tensor] | None = None,
) -> tuple[float, list[list[Tensor]]]:  # fmt: skip
    """Return the loss where one of the rows in the answers is changed, and these before it."""
    answers = list[list[Tensor]]()

    def heard(model: object, args: object, found: Outputs) -> Outputs:
        answers.append(rows := rows_in(found))
        if change is None:
            return None
        return mapped(found, lambda x: change(x) if x is rows[part] else x)

    hook = job.model.register_forward_hook(heard)
    try:
        return loss_without_training(job, batch, loss, seed=0), answers
    finally:
        hook.remove()


def _alike(one: float, other: float, tolerance: float) -> bool:
    return abs(one - other) <= tolerance * max(abs(other), tolerance)


def _uneven(rows: Tensor) -> Tensor:
    """Return rows with other numbers added in each place; none is drawn: a loss may draw some."""
    waves = torch.arange(rows.numel(), device=rows.device).view(rows.shape).sin()
    return rows + waves.to(rows)


def _are_logarithms(rows: Tensor) -> bool:
    return bool((rows.logsumexp(-1).abs() < TOLERANCE).all())


def mean_of(answers: Sequence[Outputs]) -> Outputs:
    """Return the mean of outputs of the same form and shapes, of all tensors in them.

    Raises `NotApplicable` where there are none.
    """
    parts = [tensors_in(answer) for answer in answers]
    if not all(parts):
        kind = type(answers[0]).__name__
        raise NotApplicable(f"the model answers with a {kind}, in which no tensor is to be found")
    columns = zip(*parts, strict=True)
    means = iter([torch.stack(column).mean(0) for column in columns])
    return mapped(answers[0], lambda _: next(means))


def checked_targets(job: Job) -> Targets:
    """Return a job's targets, having seen that its loss takes them as probabilities too.

    Raises `NotApplicable` where the job says nothing, or the loss of probabilities differs.
    """
    if job.targets is None:
        raise NotApplicable("the baseline doesn't say what its targets are: its job has no targets")
    if job.targets.classes is None and job.fixed is not None and job.fixed.labels is not None:
        check_shares(job.fixed.labels)
    if job.targets.classes is not None:
        with untouched(job.model):
            _check_loss(job, job.targets, job.targets.classes)
    return job.targets


def like(sampled: Tensor, inputs: Tensor) -> Tensor:
    """Return a batch's inputs; raise `NotApplicable` where they are no such items as the sample's.

    What a batch holds first may be the targets.
    """
    if inputs.dim() != sampled.dim() or inputs.is_floating_point() != sampled.is_floating_point():
        raise NotApplicable(
            f"the first tensor of a batch is {tuple(inputs.shape)} of {inputs.dtype}, and what the "
            f"model is called with {tuple(sampled.shape)} of {sampled.dtype}"
        )
    return inputs


def check_alone(sample: Inputs, inputs: Tensor, dims: Sequence[int], least: int) -> None:
    """Raise `NotApplicable` where a model is told more of an axis of its inputs that changes.

    That is a mask of their places, or how many of these an item has: more than `least`.
    """
    lengths = {inputs.shape[dim] for dim in dims}
    for other in tensors_in(sample):
        if other is inputs:
            continue
        counts = other.dim() < 3 and other.dtype in (torch.int32, torch.int64) and other.numel()
        if lengths & {*other.shape[1:]} or (counts and least < int(other.max()) <= max(lengths)):
            raise NotApplicable(
                f"the model is called with a tensor {tuple(other.shape)} beside its inputs "
                f"{tuple(inputs.shape)}, which says more of their places, and would stay as it is"
            )


def pair_of(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of a batch; raise `NotApplicable` where it is no such pair."""
    if isinstance(batch, tuple | list) and len(batch) == 2:
        inputs, targets = batch
        if isinstance(inputs, Tensor) and isinstance(targets, Tensor):
            return inputs, targets
    size = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
    raise NotApplicable(f"batches are to be (inputs, targets), not a {type(batch).__name__}{size}")


def pairs_to_mix(batches: Iterable[Batch]) -> Iterator[tuple[Batch, Tensor, Tensor]]:
    """Yield batches with their inputs and targets, whose items are to be mixed with one another.

    Raises `NotApplicable` where the first holds one item: a last one may.
    """
    for place, batch in enumerate(batches):
        inputs, targets = pair_of(batch)
        if not place and len(inputs) == 1:
            raise NotApplicable("a batch holds one item, and there is none to mix it with")
        yield batch, inputs, targets


def _check_loss(job: Job, targets: Targets, classes: int) -> None:
    inputs, named = arguments(job.sample(max(2, min(classes, 8))))
    if len(inputs) != 1 or named or not isinstance(inputs[0], Tensor):
        kinds = " and ".join(type(one).__name__ for one in [*inputs, *named.values()])
        raise NotApplicable(f"the model takes {kinds}, and batches are to be (inputs, targets)")
    even = torch.arange(len(inputs[0]), device=inputs[0].device) % classes
    _compare_losses(job, targets, inputs[0], even)
    step = max(1, classes // MOST_ALONE)
    for alone in range(0, classes, step):  # another divisor shows only in batches out of balance
        _compare_losses(job, targets, inputs[0], torch.full_like(even, alone))


def _compare_losses(job: Job, targets: Targets, inputs: Tensor, hard: Tensor) -> None:
    """Raise `NotApplicable` where the loss of classes is not that of their one-hot rows."""
    try:
        by_index = loss_without_training(job, (inputs, hard))
    except FAILURES as error:
        said = str(error).strip().partition("\n")[0]
        raise NotApplicable(
            f"the baseline's loss takes no pair (inputs, targets): {said}"
        ) from error
    try:
        by_share = loss_without_training(job, (inputs, targets.soft(hard)))
    except FAILURES as error:
        said = str(error).strip().partition("\n")[0]
        raise NotApplicable(f"the baseline's loss takes no class probabilities: {said}") from error
    if not _alike(by_share, by_index, TOLERANCE):  # as where one is no number
        raise NotApplicable(
            f"the baseline's loss takes class probabilities for something else: {by_share:.4g} "
            f"for one-hot rows, {by_index:.4g} for the same classes ({_named(hard)}); with weights "
            "of the classes, for instance, the two are divided by other sums"
        )


def _named(hard: Tensor) -> str:
    classes = sorted(set(hard.tolist()))
    return f"class {classes[0]} alone" if len(classes) == 1 else f"{len(classes)} classes"


def loss_without_training(
    job: Job, batch: Batch, loss: Loss | None = None, seed: int | None = None
) -> float:
    """Return the loss of a batch in eval mode, leaving model and random state as they were.

    It is no part of a step: who counts what that calls doesn't see it.
    """
    unseen = _disable_current_modes()
    with torch.no_grad(), undisturbed(job.device), evaluating(job.model), unseen:
        if seed is not None:
            torch.manual_seed(seed)
        return float((loss or job.loss)(job.model, batch))
