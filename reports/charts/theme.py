"""The colours of a chart that stands in a file of its own, for light grounds and for dark ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

THEMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "light": {
            "ground": "#ffffff", "ink": "#1b2026", "quiet": "#59626d", "rule": "#d4d9df",
            "good": "#0b6b3a", "bad": "#a6261c", "open": "#7a4d00", "none": "#59626d",
            "band": "#1f6feb22",
        },
        "dark": {
            "ground": "#0d1117", "ink": "#e6e9ed", "quiet": "#a3adb8", "rule": "#3a434d",
            "good": "#5fd08f", "bad": "#ff8f84", "open": "#f0b65a", "none": "#a3adb8",
            "band": "#6aa5ff2e",
        },
    }
)  # fmt: skip


def style(theme: str) -> str:
    """Return the style sheet of a file."""
    c = THEMES[theme]
    tones = "".join(
        f".whisker.{tone},.mark.{tone}{{stroke:{c[tone]}}}"
        f".mark.{tone},.pair.{tone},.beyond.{tone},.said.{tone}{{fill:{c[tone]}}}"
        for tone in ("good", "bad", "open", "none")
    )
    return (
        f"<style>text{{font:12px system-ui,sans-serif;fill:{c['ink']}}}"
        f"text.tick,text.small{{font-size:11px;fill:{c['quiet']}}}text.head{{font-weight:600}}"
        f"text.arm{{font-weight:600}}.ground{{fill:{c['ground']}}}.rule{{stroke:{c['rule']}}}"
        f".band{{fill:{c['band']}}}.nothing{{stroke:{c['quiet']}}}"
        f".limit{{stroke:{c['bad']};stroke-dasharray:4 3}}.whisker{{stroke-width:2.2}}"
        f".pair{{opacity:.55}}text.beyond{{font-weight:700}}{tones}"
        f".mark.open{{fill:{c['ground']};stroke-width:2}}</style>"
    )
