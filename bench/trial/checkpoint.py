"""Checkpoint a training after every epoch: its whole state in one file, to go on bit for bit."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from bench.errors import BenchError
from bench.job import Job
from bench.model.carried import CannotRemember, Carried
from bench.model.unsaved import put_back, unsaved
from bench.random_state import global_random, set_global_random
from bench.records.files import appearing
from bench.records.measurement import Evaluation
from bench.records.recipe import Recipe
from bench.trial import optimizer_state
from bench.trial.training import Trained
from bench.trial.training_state import PartsState, kept_state

FORMAT = 1
EARLIER = "before the interruption"


@dataclass
class Checkpointer:
    """Writes `path` after every epoch, and reads it where `resume` says so."""

    path: Path
    recipe: Recipe
    seed: int
    resume: bool = False
    note: Callable[[str], None] = lambda text: None
    """Told once where a training can't be kept; it goes on without."""
    leads: bool = True
    """Whether it is the first, or only, process: others read what that one writes."""
    _given_up: bool = False
    _shapes: dict[str, torch.Size] = field(default_factory=dict)
    _job: Job = field(init=False)
    _optimizer: Optimizer = field(init=False)
    _result: Trained = field(init=False)
    _memory: PartsState = field(init=False)
    _carried: Carried = field(init=False)

    def begin(self, job: Job, optimizer: Optimizer, result: Trained) -> bool:
        """Take a training up where the file left it; tell whether its epochs were over.

        Raises `BenchError` for a file that is missing, torn, or of another recipe or seed.
        """
        self._job, self._optimizer, self._result = job, optimizer, result
        self._shapes = _shapes(job)
        try:
            _check_whole(job)
            self._memory = PartsState(job, optimizer)
            self._carried = Carried(job.model)
        except CannotRemember as reason:
            self._give_up(reason)
            return False
        return self._restore(self._read()) if self.resume else False

    def keep(self, over: bool) -> None:
        """Write everything, or nothing: the file before stays until the new one is whole."""
        if self._given_up or not self.leads:
            return
        try:
            content = self._content(over)
        except CannotRemember as reason:
            self._give_up(reason)
            return
        with appearing(self.path) as temporary:
            torch.save(content, temporary)

    def _content(self, over: bool) -> dict[str, Any]:
        if _shapes(self._job) != self._shapes:
            raise CannotRemember("the model's weights change their shapes while it trains")
        result = self._result
        return {
            "format": FORMAT, "recipe_id": self.recipe.id, "seed": self.seed, "over": over,
            "recipe": self.recipe.model_dump_json(),
            "epoch": result.progress.epoch, "step": result.progress.step,
            "epoch_losses": list(result.progress.epoch_losses), "losses": list(result.losses),
            "evaluations": [one.model_dump_json() for one in result.evaluations],
            "seconds": result.timeline.seconds,
            "model": kept_state(self._job.model), "besides": unsaved(self._job.model),
            "carried": self._carried.taken(),
            "optimizer": self._optimizer.state_dict(),
            "rates": result.rates.state(),
            "memory": self._memory.taken(), "random": global_random(),
        }  # fmt: skip

    def _read(self) -> dict[str, Any]:
        try:
            found = torch.load(self.path, map_location=self._job.device, weights_only=True)
        except FileNotFoundError:
            raise BenchError(f"nothing to resume: there is no {self.path}") from None
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
            reason = " ".join(str(error).split())[:100]
            raise BenchError(f"{self.path} can't be read ({reason}); start anew") from error
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise BenchError(f"{self.path} is no checkpoint that this bench reads; start anew")
        for what, own in (("recipe_id", self.recipe.id), ("seed", self.seed)):
            if found[what] != own:
                raise BenchError(f"{self.path} is of {what} {found[what]}, not {own}; start anew,"
                                 " or give another --output")  # fmt: skip
        return found

    def _restore(self, found: dict[str, Any]) -> bool:
        result = self._result
        result.progress.epoch, result.progress.step = found["epoch"], found["step"]
        result.progress.epoch_losses[:] = found["epoch_losses"]
        result.losses[:] = found["losses"]
        result.evaluations[:] = map(Evaluation.model_validate_json, found["evaluations"])
        result.timeline.between.append((0, EARLIER, found["seconds"]))
        self._job.model.load_state_dict(found["model"])
        put_back(self._job.model, found.get("besides", {}))
        self._carried.put_back(found.get("carried", {}))
        optimizer_state.put_back(self._optimizer, found["optimizer"])
        result.rates.put_back(found.get("rates"))
        self._memory.put_back(found["memory"])
        set_global_random(found["random"])
        return bool(found["over"])

    def _give_up(self, reason: BenchError) -> None:
        if self.resume:
            raise BenchError(f"this training can't be resumed: {reason}")
        self._given_up = True
        self.note(f"this training couldn't be resumed: {reason}")


def _check_whole(job: Job) -> None:
    """Raise `CannotRemember` where this process holds but a share of the weights."""
    if job.group.size > 1 and any(hasattr(p, "full_tensor") for p in job.model.parameters()):
        raise CannotRemember("its weights are shared out among processes")


def _shapes(job: Job) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in job.model.state_dict().items()
            if isinstance(value, torch.Tensor)}  # fmt: skip
