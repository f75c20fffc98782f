"""Diagnoses: the challenge's scored ones by SNOMED CT code, and the names of its first headers."""

from __future__ import annotations

SCORED = {
    "164889003": "AF", "164890007": "AFL", "6374002": "BBB", "426627000": "Brady",
    "733534002": "LBBB", "164909002": "LBBB", "713427006": "RBBB", "59118001": "RBBB",
    "270492004": "IAVB", "713426002": "IRBBB", "39732003": "LAD", "445118002": "LAnFB",
    "251146004": "LQRSV", "698252002": "NSIVCB", "426783006": "NSR", "284470004": "PAC",
    "63593006": "PAC", "10370003": "PR", "365413008": "PRWP", "427172004": "PVC",
    "17338001": "PVC", "164947007": "LPR", "111975006": "LQT", "164917005": "QAb",
    "47665007": "RAD", "427393009": "SA", "426177001": "SB", "427084000": "STach",
    "164934002": "TAb", "59931005": "TInv", "429622005": "STD", "164931005": "STE",
}  # fmt: skip
"""Scored in 2021, those scored as one under one name; STD and STE in CPSC 2018 and early 2020."""
NAMES = {
    "NORMAL": "NSR", "AF": "AF", "I-AVB": "IAVB", "LBBB": "LBBB", "RBBB": "RBBB", "PAC": "PAC",
    "PVC": "PVC", "STD": "STD", "STE": "STE",
}  # fmt: skip
"""The nine labels of CPSC 2018, as early headers of 2020 write them."""
ALL = tuple(sorted(set(SCORED.values())))


def labels_of(text: str) -> tuple[str, ...]:
    """Return the labels of a header's ``Dx`` (codes or names with commas between), sorted.

    A code that is not scored stays as it is. Raises `ValueError` for one that is neither a known
    name nor a SNOMED CT identifier.
    """
    found = {_label(part.strip()) for part in text.split(",") if part.strip()}
    return tuple(sorted(found))


def _label(code: str) -> str:
    known = SCORED.get(code) or NAMES.get(code.upper())
    if known is None and not is_snomed(code):
        raise ValueError(f'"{code}" is neither a label of CPSC 2018 nor a SNOMED CT identifier')
    return known or code


def is_snomed(code: str) -> bool:
    """Tell whether `code` is an identifier: 6 to 18 digits, the last of them Verhoeff's check."""
    if not (code.isascii() and code.isdigit() and 6 <= len(code) <= 18):
        return False
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = _product(check, _permuted(int(digit), place))
    return check == 0


def _product(a: int, b: int) -> int:
    """Multiply in the dihedral group of the pentagon: 0 to 4 turn it, 5 to 9 mirror it too."""
    if a < 5:
        return (a + b) % 5 + 5 * (b >= 5)
    return (a - b) % 5 + 5 * (b < 5)


def _permuted(digit: int, times: int) -> int:
    for _ in range(times % 8):
        digit = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit]
    return digit
