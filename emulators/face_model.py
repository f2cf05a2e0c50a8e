"""A face detector for the scan page without any trained weight: a grey picture has one steady face, a black one none.

A hand-written graph model of TensorFlow.js with BlazeFace's shapes: input [1, 128, 128, 3], output [1, 896, 17] (logit,
then box and six key points relative to 896 anchors). The logit grows with the picture's mean brightness; the box never
moves. It lets the whole page run where no model can be fetched, and detects nothing about anybody.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

import click
import orjson

MODEL_FILE: Final = "model.json"
WEIGHTS_FILE: Final = "weights.bin"

_ANCHORS, _COLUMNS = 896, 17
_SIDE: Final = 128
_NEVER: Final = -50.0
# Two anchors a cell in a grid of 16 by 16: the first anchor of the cell in the middle.
_MIDDLE: Final = (8 * 16 + 8) * 2
_MIDDLE_AT: Final = (8 + 0.5) / 16
# Logit = 4 + 8 * mean with pixels within -1..1: black is -4, grey is 4.
_BIAS, _SLOPE = 4.0, 8.0
_BOX: Final = (0.5, 0.55, 0.30, 0.40)  # centre and size, in parts of the picture
_POINTS: Final = ((0.43, 0.48), (0.57, 0.48), (0.5, 0.56), (0.5, 0.65), (0.36, 0.50), (0.64, 0.50))
_FLOAT: Final = {"dtype": {"type": "DT_FLOAT"}}
_WHOLE: Final = {"dtype": {"type": "DT_INT32"}}


def write_face_model(folder: Path) -> None:
    """Write the model's two files."""
    folder.mkdir(parents=True, exist_ok=True)
    base, slope = _weights()
    packed = [struct.pack(f"<{len(values)}f", *values) for values in (base, slope)]
    (folder / WEIGHTS_FILE).write_bytes(b"".join([*packed, struct.pack("<4i", 0, 1, 2, 3)]))
    (folder / MODEL_FILE).write_bytes(orjson.dumps(_model()))


def _weights() -> tuple[list[float], list[float]]:
    base, slope = [0.0] * (_ANCHORS * _COLUMNS), [0.0] * (_ANCHORS * _COLUMNS)
    for anchor in range(_ANCHORS):
        base[anchor * _COLUMNS] = _NEVER
    at = _MIDDLE * _COLUMNS
    base[at], slope[at] = _BIAS, _SLOPE
    x, y, width, height = _BOX
    values = [_relative(x), _relative(y), width * _SIDE, height * _SIDE]
    values += [_relative(part) for point in _POINTS for part in point]
    base[at + 1 : at + 1 + len(values)] = values
    return base, slope


def _relative(part: float) -> float:
    """From a part of the picture to pixels from the anchor."""
    return (part - _MIDDLE_AT) * _SIDE


def _model() -> dict[str, Any]:
    output = (1, _ANCHORS, _COLUMNS)
    return {
        "format": "graph-model",
        "generatedBy": "facescan emulators",
        "convertedBy": "by hand",
        "signature": {
            "inputs": {"input": _tensor("input:0", (1, _SIDE, _SIDE, 3))},
            "outputs": {"Identity": _tensor("Identity:0", output)},
        },
        "modelTopology": {"node": _nodes(), "library": {}, "versions": {"producer": 1}},
        "weightsManifest": [
            {
                "paths": [WEIGHTS_FILE],
                "weights": [
                    {"name": "base", "shape": output, "dtype": "float32"},
                    {"name": "slope", "shape": output, "dtype": "float32"},
                    {"name": "axes", "shape": [4], "dtype": "int32"},
                ],
            }
        ],
    }


def _nodes() -> list[dict[str, Any]]:
    kind = {"T": {"type": "DT_FLOAT"}}
    mean = {**kind, "Tidx": {"type": "DT_INT32"}, "keep_dims": {"b": False}}
    shape = {"shape": {"dim": [{"size": str(size)} for size in (1, _SIDE, _SIDE, 3)]}}
    return [
        {"name": "input", "op": "Placeholder", "attr": {**_FLOAT, "shape": shape}},
        {"name": "base", "op": "Const", "attr": _FLOAT},
        {"name": "slope", "op": "Const", "attr": _FLOAT},
        {"name": "axes", "op": "Const", "attr": _WHOLE},
        {"name": "mean", "op": "Mean", "input": ["input", "axes"], "attr": mean},
        {"name": "mul", "op": "Mul", "input": ["slope", "mean"], "attr": kind},
        {"name": "sum", "op": "AddV2", "input": ["base", "mul"], "attr": kind},
        {"name": "Identity", "op": "Identity", "input": ["sum"], "attr": kind},
    ]


def _tensor(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    dimensions = [{"size": str(size)} for size in shape]
    return {"name": name, "dtype": "DT_FLOAT", "tensorShape": {"dim": dimensions}}


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Write the stand-in face model into FOLDER (FACESCAN_FACE_MODEL)."""
    write_face_model(folder)


if __name__ == "__main__":
    main()
