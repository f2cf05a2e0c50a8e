"""The page's program as ``make page`` builds it, and the face detector that the operator supplies: files."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from shared.errors import ConfigurationError

BUILT: Final = Path(__file__).with_name("static")
MODEL_FILE: Final = "model.json"

_MANIFEST: Final = ".vite/manifest.json"
_ENTRY: Final = "src/main.tsx"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,100}\Z")
_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
                 ".wasm": "application/wasm", ".json": "application/json", ".bin": "application/octet-stream",
                 ".txt": "text/plain; charset=utf-8"}  # fmt: skip
_COMMON: Final = {"x-content-type-options": "nosniff", "cross-origin-resource-policy": "same-origin"}
# A built file's name has its content's hash in it.
_FOREVER: Final = {**_COMMON, "cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
_A_DAY: Final = {**_COMMON, "cache-control": "public, max-age=86400"}


@dataclass(frozen=True, slots=True)
class Program:
    """Addresses of the program's first files; what they need in turn they name themselves."""

    script: str
    styles: tuple[str, ...]


def find_program(built: Path = BUILT) -> Program | None:
    """Return what was built, or None when nothing was. Raises ConfigurationError when it cannot be read."""
    manifest = built / _MANIFEST
    try:
        entries: Mapping[str, Mapping[str, Any]] = json.loads(manifest.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{manifest}: {error}; build the page anew: make page") from error
    entry = entries[_ENTRY]
    return Program(f"/{entry['file']}", tuple(f"/{style}" for style in entry.get("css", [])))


def check_model(folder: Path) -> Path:
    """Return the folder when it holds a face model. Raises ConfigurationError."""
    if not (folder / MODEL_FILE).is_file():
        raise ConfigurationError(f"FACESCAN_FACE_MODEL: {folder} has no {MODEL_FILE}; see docs/scan-page.md")
    return folder


class PageFiles:
    """Serves ``/assets/…`` from what was built and ``/face-model/…`` from the operator's folder, if there is one."""

    def __init__(self, model: Path | None, built: Path = BUILT) -> None:
        self._model = model
        self._built = built / "assets"

    def routes(self) -> list[Route]:
        """Return the routes."""
        routes = [Route("/assets/{name}", self._asset)]
        if self._model is not None:
            routes.append(Route("/face-model/{name}", partial(_model_file, self._model)))
        return routes

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        packed = self._built / f"{name}.gz"
        if _NAME.match(name) and "gzip" in request.headers.get("accept-encoding", "") and packed.is_file():
            return _file(packed, name, {**_FOREVER, "content-encoding": "gzip"})
        return _file(self._built / name, name, _FOREVER)


async def _model_file(folder: Path, request: Request) -> Response:
    name = request.path_params["name"]
    return _file(folder / name, name, _A_DAY)


def _file(path: Path, name: str, headers: Mapping[str, str]) -> Response:
    kind = _TYPES.get(Path(name).suffix)
    if kind is None or not _NAME.match(name) or not path.is_file():
        return Response("no such file\n", 404, _COMMON, "text/plain")
    return FileResponse(path, headers=headers, media_type=kind)
