"""The figures as bars, in SVG."""

import math
from collections.abc import Mapping
from typing import Any

_WIDTH, _BAR, _LEFT, _RIGHT = 640, 22, 190, 90
_CASES = {"cold": "cold", "warm": "warm", "source_20ms": "sources at 20 ms"}
_COLOURS = ("#2b6cb0", "#a0aec0", "#d69e2e", "#68d391", "#b794f4")


def bars(told: Mapping[str, Any]) -> str:
    """CPU time for one request, on a logarithmic scale, a bar for each server in each case."""
    rows = [
        (f"{title}: {name}", found["cpu_us"]) for case, title in _CASES.items() for name, found in told[case].items()
    ]
    names = list(dict.fromkeys(name for case in _CASES for name in told[case]))
    most = math.log10(max(value for _, value in rows))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_BAR * len(rows) + 40}" '
        'font-family="sans-serif" font-size="12">',
        '<text x="8" y="18" font-weight="bold">CPU µs for one request of one server process (log scale)</text>',
    ]
    for number, (label, value) in enumerate(rows):
        y = 30 + number * _BAR
        length = (_WIDTH - _LEFT - _RIGHT) * math.log10(max(value, 1.0)) / most
        colour = _COLOURS[names.index(label.rpartition(": ")[2]) % len(_COLOURS)]
        parts += [
            f'<text x="8" y="{y + 14}">{label}</text>',
            f'<rect x="{_LEFT}" y="{y + 3}" width="{length:.0f}" height="{_BAR - 8}" fill="{colour}"/>',
            f'<text x="{_LEFT + length + 6:.0f}" y="{y + 14}">{value:,.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
