"""Changes that are written into Python files, where a place for them is sure."""

from __future__ import annotations

import pytest

from bench.interception.edits import Edit, Place, applied
from optimizers import gradient_checkpointing


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("checkpoint = torch.load('last.pt') if found else None", None),
        ("def checkpoint(epoch): return epoch", None),
        ("import functools", None),
        ("from torch.utils.checkpoint import checkpoint as recomputed", None),
        ("recomputed = 0", "recomputed"),
        ("async def recomputed(): pass", "recomputed"),
        ("import toolz as functools", "functools"),
    ],
)
def test_names_of_the_script_s_own_do_not_stand_for_what_is_written(
    line: str, taken: str | None
) -> None:
    source = f"import torch\nfound = False\n{line}\no = Adam(model)^\n"
    helper, text = gradient_checkpointing.WRITTEN, "checkpoint_blocks(model, 'a')"
    made, unsure = edit(source, "after", text=text, helper=helper)
    if taken is not None:
        assert unsure == {0: f"the file has a {taken} of its own"}
        return
    assert unsure == {}
    assert "from torch.utils.checkpoint import checkpoint as recomputed\n" in made
    assert "functools.partial(recomputed, block.forward, use_reentrant=False)" in made
    compile(made, "a.py", "exec")


def edit(source: str, kind: str, **given: object) -> tuple[str, dict[int, str]]:
    """Return a text with one edit of the call that ends at the mark, and why it has none."""
    before = source.partition("^")[0]
    line, column = before.count("\n") + 1, len(before.rpartition("\n")[2].encode())
    place = Place(file="a.py", line=line, column=column)
    one = Edit.model_validate({"by": "x", "kind": kind, "place": place, "where": "", **given})
    made, unsure = applied(source.replace("^", "").encode(), [one])
    return made.decode(), unsure


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("o = Adam(p)^\n", "o = Adam(p, fused=True)\n"),
        ("o = Adam()^\n", "o = Adam(fused=True)\n"),
        (
            "o = Adam(\n    p,  # all\n    lr=1,\n)^",
            "o = Adam(\n    p,  # all\n    lr=1, fused=True,\n)",
        ),
        ("é = f(Adam(p, fused=None)^)\n", "é = f(Adam(p, fused=True))\n"),
        ("o = Adam((p))^\n", "o = Adam((p), fused=True)\n"),
        ("o = Adam(\n    (p),  # (all)\n)^\n", "o = Adam(\n    (p), fused=True,  # (all)\n)\n"),
        ("o = Adam(p for p in q)^\n", "o = Adam((p for p in q), fused=True)\n"),
        ("f(n, o=Adam(p for p in q)^)\n", "f(n, o=Adam((p for p in q), fused=True))\n"),
    ],
)
def test_an_argument_is_given_where_a_call_has_room_for_it(text: str, made: str) -> None:
    assert edit(text, "keyword", name="fused", text="True") == (made, {})


@pytest.mark.parametrize(
    ("text", "made"),
    [("o = Adam(p, foreach=True, lr=1)^\n", "o = Adam(p, foreach=False, lr=1)\n"),
     ("o = Adam(p)^\n", "o = Adam(p)\n")],
)  # fmt: skip
def test_an_argument_may_be_changed_only_where_it_is_given(text: str, made: str) -> None:
    assert edit(text, "keyword", name="foreach", text="False", given=True) == (made, {})


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        ("o = Adam(p, **more)^\n", "keyword", "its arguments are unpacked (*, **)"),
        ("o = Adam(p, 1, 2)^\n", "keyword", "fused is given there without its name"),
        ("return_(Adam((p)))\n^", "keyword", "no call ends there that can be told from others"),
        ("def f():\n    return Adam(p)^\n", "after", "it is in no plain assignment"),
        (
            "o = [Adam(m)^ for m in n]\n",
            "after",
            "it is in a function or comprehension within a stat",
        ),
        ("if x: o = Adam(m)^\n", "after", "its line holds another statement"),
        ("fused = 1\no = Adam(m)^\n", "callee", "the file has a fused of its own"),
    ],
)
def test_where_no_place_is_sure_nothing_is_written(text: str, kind: str, why: str) -> None:
    helper = "def fused(one):\n    return one\n" if kind == "callee" else ""
    made, unsure = edit(text, kind, name="fused", text="True", position=2, helper=helper)
    assert made == text.replace("^", "")
    assert unsure[0].startswith(why)


def test_a_lone_generator_is_put_in_parentheses_once() -> None:
    place = Place(file="a.py", line=1, column=22)
    edits = [
        Edit(by="x", kind=kind, place=place, where="", name=name, text="1")
        for kind, name in (("keyword", "a"), ("callee", "f"), ("keyword", "b"))
    ]
    made, unsure = applied(b"o = Adam(p for p in q)\n", edits)
    assert (made, unsure) == (b"o = f(Adam)((p for p in q), a=1, b=1)\n", {})


def test_an_edit_that_makes_no_python_spoils_no_other() -> None:
    place = Place(file="a.py", line=1, column=11)
    edits = [
        Edit(by="x", kind="keyword", place=place, where="", name=name, text=text)
        for name, text in (("a", "1"), ("b", "("), ("c", "2"))
    ]
    made, unsure = applied(b"o = Adam(p)\n", edits)
    assert made == b"o = Adam(p, a=1, c=2)\n"
    assert [*unsure] == [1]
    assert unsure[1].startswith("what was written there is no Python")


@pytest.mark.parametrize(
    "first", ["", "#!/usr/bin/env python\n", "# a net\n# -*- coding: utf-8 -*-\n", "\ufeff"]
)
def test_lines_at_the_start_stand_below_what_a_file_has_to_begin_with(first: str) -> None:
    made, unsure = edit(f"{first}x = 1\n", "start", text="import torch")
    assert (made, unsure) == (f"{first}import torch\nx = 1\n", {})
