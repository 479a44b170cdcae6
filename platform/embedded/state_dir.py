"""The folder with the state of the embedded stack."""

import os
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import CannotStart


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The folder `TENANTRY_HOME` and the paths in it."""

    path: Path

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        return self.path / "valkey"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def lock(self) -> Path:
        return self.path / "up.lock"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets.env"

    @property
    def stack(self) -> Path:
        """Environment file of the stack, which `config/settings/base.py` reads."""
        return self.path / "stack.env"

    @property
    def demo(self) -> Path:
        """Environment file with addresses and keys, for scripts to `source`."""
        return self.path / "demo.env"

    @property
    def join_token(self) -> Path:
        return self.path / "join-token"

    @property
    def node_token(self) -> Path:
        return self.path / "node-token"

    @property
    def beat_schedule(self) -> Path:
        return self.path / "beat-schedule"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics"

    def create(self) -> None:
        """Create the folder and the folder of logs for their owner only. Raises CannotStart."""
        try:
            for folder in (self.path, self.logs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.keep_private()
        except OSError as error:
            raise CannotStart(
                f"The folder {self.path} cannot be used ({error.strerror}). "
                "Make it writable, or set TENANTRY_HOME to a folder that is."
            ) from error

    def keep_private(self) -> None:
        """Restrict the folder to its owner. Under root, PostgreSQL's user may traverse it."""
        self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
