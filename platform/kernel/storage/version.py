"""The version of the platform, and the version of the database that it uses."""

VERSION = "0.1.0"
"""The version of this code, as in `pyproject.toml`."""
ROW = 1
"""Primary key of the only row."""


def record_version() -> None:
    """Store that this version has migrated the database."""
    # Not earlier: settings import this module.
    from kernel.models import DatabaseVersion

    DatabaseVersion.objects.update_or_create(pk=ROW, defaults={"version": VERSION})


def database_version() -> str:
    """Return the version that last migrated the database; empty if none was stored."""
    # Not earlier: settings import this module.
    from kernel.models import DatabaseVersion

    return DatabaseVersion.objects.filter(pk=ROW).values_list("version", flat=True).first() or ""


def release_line(version: str) -> str:
    """Return `major.minor`. Versions of one line work together."""
    return ".".join(version.split(".")[:2])
