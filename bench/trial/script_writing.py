"""Find what techniques would have written into a script: run its first steps, and look at them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.errors import NotApplicable
from bench.interception.edits import Written
from bench.interception.script import Script
from bench.interception.sites import Sites
from bench.interception.writing import Writing
from bench.recipes.script import ScriptSettings
from bench.technique import Technique
from bench.trial.script import run_script
from bench.trial.spec import TrialSpec


def written(trial: TrialSpec, techniques: Sequence[Technique]) -> Written:
    """Return what techniques would have written into a trial's script, which runs without them."""
    settings = ScriptSettings.model_validate(trial.recipe.settings)
    plain = settings.model_copy(update={"loader": None}).model_dump(mode="json")
    recipe = trial.recipe.model_copy(update={"techniques": (), "settings": plain})
    seen: list[Sites] = []

    def look(script: Script, folder: Path) -> None:
        given = Path(os.path.normpath(folder / settings.script))
        seen.append(Sites(script, folder, given.resolve()))

    plainly = trial.model_copy(update={"recipe": recipe})
    ran = run_script(plainly, (), on_trained=lambda: None, look=look)
    main = os.path.relpath(seen[0].file, seen[0].folder)
    script = Writing(seen[0], settings, main)
    refused: dict[str, str] = {}
    for technique in techniques:
        try:
            technique.write(script)
        except NotApplicable as reason:
            refused[technique.name] = str(reason)
    return script.written(refused, len(ran.course.timeline.steps))
