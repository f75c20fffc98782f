"""Read the command line: a default command, and options that take several values.

``bench --test a b --epochs 5`` is read as ``bench run --test a --test b --epochs 5``.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from typer.core import TyperCommand, TyperGroup

from bench.cli.help import write_examples, write_groups
from bench.errors import BenchError

if TYPE_CHECKING:  # typer keeps a click of its own
    from typer._click import Context, HelpFormatter
    from typer._click.shell_completion import CompletionItem

SEVERAL = {"--test", "--combine", "--recipe", "--set", "--fail-on", "--vary", "--objective",
          "--limit", "--log"}  # fmt: skip
"""Options that take one value or more, separated by spaces."""
VERBATIM = {"--vary"}
"""Those of them whose values may begin with a dash: they end where an option of ours begins."""
BEHIND = "bench.behind"
"""Where a command's context keeps what stands behind ``--``."""
TYPED = "bench.typed"
"""Where it keeps what was typed so far, as it stands."""
OWN = {"--help", "--install-completion", "--show-completion", "--version"}
"""Options of ``bench`` itself; every other one belongs to the default command."""


class DefaultGroup(TyperGroup):
    """A group in which options without a command belong to ``run``."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Insert ``run`` before options that are not the group's own."""
        first = args[0].partition("=")[0] if args else ""
        if first.startswith("-") and first not in OWN:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Show the commands, and the options of ``run``, which need no command."""
        super().format_help(ctx, formatter)
        write_examples(formatter)
        run = self.commands["run"]
        run.format_options(
            run.make_context("run", [], parent=ctx, resilient_parsing=True), formatter
        )

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands, and the options of ``run`` too."""
        run = self.commands["run"]
        found = super().shell_complete(ctx, incomplete)
        if not incomplete.startswith("-"):
            return found
        inner = run.make_context("run", [], parent=ctx, resilient_parsing=True)
        return found + run.shell_complete(inner, incomplete)


class SpacedCommand(TyperCommand):
    """A command whose options in `SEVERAL` take space-separated values."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Repeat such an option before each of its values, then parse as usual."""
        ctx.meta[TYPED] = tuple(args)
        group = ctx.parent.command if ctx.parent else None
        commands = group.commands if isinstance(group, TyperGroup) else ()
        if not ctx.resilient_parsing:
            own = {name for param in self.get_params(ctx) for name in param.opts}
            args = list(spread(args, frozenset(commands), own))
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Complete a second and further value of an option as its first."""
        option = next((w for w in reversed(ctx.meta.get(TYPED, ())) if w.startswith("-")), None)
        if option in SEVERAL and not incomplete.startswith("-"):
            for param in self.get_params(ctx):
                if option in param.opts:
                    return param.shell_complete(ctx, incomplete)
        return super().shell_complete(ctx, incomplete)


class RunCommand(SpacedCommand):
    """The default command: its many options are shown in groups."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Show options in groups."""
        write_groups(self, ctx, formatter)


class ScriptCommand(SpacedCommand):
    """A command that leaves what stands behind ``--`` to a script."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Set the script's arguments aside, as they are, then parse as usual."""
        if "--" in args:
            at = args.index("--")
            args, ctx.meta[BEHIND] = args[:at], args[at + 1 :]
        return super().parse_args(ctx, args)


def on_command_line(context: Context) -> list[str]:
    """Return the parameters that stand on the command line, by name."""
    sources = ((name, context.get_parameter_source(name)) for name in context.params)
    return [name for name, source in sources if source and source.name == "COMMANDLINE"]


def spread(args: list[str], commands: frozenset[str], own: Collection[str] = ()) -> Iterable[str]:
    """Yield `args` with ``--test a b`` written as ``--test a --test b``.

    Raises `BenchError` for such an option without a value, and for a value that is the name of a
    command: ``bench --test compile report`` would be read in two ways.
    """
    index = 0
    while index < len(args):
        option = args[index]
        index += 1
        if option not in SEVERAL:
            yield option
            continue
        values = []
        while index < len(args) and not _is_option(args[index], option, own):
            values.append(args[index])
            index += 1
        if not values:
            hint = "" if option in VERBATIM else "; see `bench list techniques`"
            raise BenchError(f"{option} needs at least one value{hint}")
        for value in values:
            if value in commands:
                raise BenchError(f'"{value}" is a command, not a value of {option}')
            yield from (option, value)


def _is_option(word: str, option: str, own: Collection[str]) -> bool:
    """Tell whether a word is an option of ours; refuse what may as well be a value."""
    if option not in VERBATIM:
        return word.startswith("-")
    name, joined, _ = word.partition("=")
    if joined and name in own and name != option:
        raise BenchError(
            f"{option}: {word} may be meant for the script, or be bench's own {name}: write "
            f"{shlex.quote(word.replace('=', ' ', 1))} for the script, or bench's own before "
            f"{option}"
        )
    return name in own


def check_text(words: Iterable[str]) -> None:
    """Refuse a name with bytes that are no UTF-8: no record can hold it."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise BenchError(
                f"{word!a} has bytes that are no UTF-8, which records can't hold; rename it"
            ) from None


def check_folder() -> None:
    """Refuse to work in a folder that was removed: MKL, for one, ends a process there by itself."""
    try:
        Path.cwd()
    except OSError as error:
        raise BenchError(
            f"the current folder can't be used ({error.strerror}); change into another"
        ) from None
