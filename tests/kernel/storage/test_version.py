"""The version of the code is that of the package, and `migrate` stores it in the database."""

import io
import tomllib

import pytest
from django.core.management import call_command

from kernel.models import DatabaseVersion
from kernel.storage.version import VERSION, database_version, release_line
from tests.architecture.source import ROOT


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_versions_of_one_line_have_the_same_major_and_minor():
    assert [release_line(each) for each in ("0.1.0", "0.1.9", "0.2.0", "")] == [
        *("0.1", "0.1", "0.2", ""),
    ]


@pytest.mark.django_db
def test_migrate_stores_the_version_and_a_mere_plan_does_not():
    DatabaseVersion.objects.update_or_create(pk=1, defaults={"version": "0.0.1"})
    call_command("migrate", plan=True, stdout=io.StringIO())
    assert database_version() == "0.0.1"
    call_command("migrate", verbosity=0)
    assert database_version() == VERSION
