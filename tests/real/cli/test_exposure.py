"""Passwords that everybody knows do not go where everybody comes."""

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_what_dev_left_is_not_opened_to_others(left_by_dev, command):
    words = ("up", "--mqtt", "127.0.0.1:0", "--link", "127.0.0.1:0", "--data-dir", left_by_dev)
    opened = command(*words, "--http", "0.0.0.0:0")
    assert (opened.code, opened.out) == (1, "")
    assert "user ditto, user devops, device DEFAULT_TENANT/4711" in opened.err


def test_a_data_directory_is_its_owners_alone(left_by_dev):
    assert left_by_dev.stat().st_mode & 0o077 == 0
