"""A plot of a soak as SVG: memory above, file handles below, one line for each service."""

from collections.abc import Callable, Sequence
from typing import Final

from bench.soak_samples import Sample

_WIDTH: Final = 900
_HEIGHT: Final = 220
_LEFT: Final = 60
_COLOURS: Final = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#555555")


def plot(samples: Sequence[Sample]) -> str:
    """Return the picture."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {2 * _HEIGHT + 40}">',
        "<style>text { font: 12px sans-serif }</style>",
        f'<rect width="{_WIDTH}" height="{2 * _HEIGHT + 40}" fill="white"/>',
        *_panel(samples, "resident memory, MiB", 0, lambda one: one.resident_mib),
        *_panel(samples, "file handles", _HEIGHT + 20, lambda one: float(one.handles)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _panel(samples: Sequence[Sample], title: str, top: int, value: Callable[[Sample], float]) -> list[str]:
    most = max((value(one) for one in samples), default=1.0) * 1.1
    last = max((one.seconds for one in samples), default=1.0) or 1.0
    parts = [f'<text x="{_LEFT}" y="{top + 15}">{title}</text>']
    for step in range(5):
        y = top + _HEIGHT - step * (_HEIGHT - 30) / 4
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.0f}" y2="{y:.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="5" y="{y + 4:.0f}">{most * step / 4:.0f}</text>')
    for number, service in enumerate(sorted({one.service for one in samples})):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(
            f"{_LEFT + one.seconds / last * (_WIDTH - _LEFT - 10):.1f},"
            f"{top + _HEIGHT - value(one) / most * (_HEIGHT - 30):.1f}"
            for one in samples
            if one.service == service
        )
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>')
        parts.append(f'<text x="{200 + 110 * number}" y="{top + 15}" fill="{colour}">{service}</text>')
    return parts
