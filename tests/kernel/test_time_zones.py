"""Which names of time zones people may choose."""

import pytest

from kernel.time_zones import is_time_zone


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Etc/GMT+5"])
def test_names_of_the_database_are_time_zones(name):
    assert is_time_zone(name)


@pytest.mark.parametrize(
    "name", ["Factory", "localtime", "posixrules", "posix/UTC", "Mars", "", "../UTC", "UTC\x00"]
)
def test_what_means_another_time_on_each_machine_is_none(name):
    assert not is_time_zone(name)
