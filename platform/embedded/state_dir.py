"""The folder that holds the embedded stack's state."""

import os
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import CannotStart


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """`TENANTRY_HOME`, and the name of everything in it."""

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
        """Read by `config/settings/base.py`, so that every command finds the same database."""
        return self.path / "stack.env"

    @property
    def demo(self) -> Path:
        """For people and their scripts to `source`."""
        return self.path / "demo.env"

    @property
    def join_token(self) -> Path:
        return self.path / "join-token"

    @property
    def beat_schedule(self) -> Path:
        return self.path / "beat-schedule"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics"

    def create(self) -> None:
        """Make the folder and the folder of logs, for their owner only."""
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
        """Nobody else may look in. Under root, PostgreSQL's own user must still pass through."""
        self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
