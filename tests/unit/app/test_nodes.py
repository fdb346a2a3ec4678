"""What the node commands make of their options."""

from pathlib import Path

import pytest

from littoral.app.link import identity_of
from littoral.app.nodes import parser_of, settings_of
from littoral.edge.ports import SiteIdentity
from littoral.kernel.ids import NodeId


@pytest.fixture
def enrolled(tmp_path: Path) -> str:
    identity = SiteIdentity(NodeId("plant"), "wss://cloud:8883", b"ca", b"key", b"certificate")
    identity_of(tmp_path).save(identity)
    return str(tmp_path)


def name_of(command: str, *options: str) -> tuple[str, object]:
    config, settings = settings_of(command, parser_of(command).parse_args(options))
    return config.name, next(s.source for s in settings if s.name == "name")


def test_an_enrolled_site_starts_again_under_its_own_name(enrolled: str) -> None:
    assert name_of("edge", "--data-dir", enrolled) == ("plant", "enrolment")


def test_a_name_that_is_given_is_taken(enrolled: str) -> None:
    assert name_of("edge", "--data-dir", enrolled, "--name", "other") == ("other", "flag")


def test_only_sites_are_named_by_an_enrolment(enrolled: str) -> None:
    assert name_of("up", "--data-dir", enrolled) == ("cloud", "default")


def test_a_site_that_nobody_named_has_not_the_name_of_a_cloud(tmp_path: Path) -> None:
    assert name_of("edge", "--data-dir", str(tmp_path)) == ("site", "default")
    assert name_of("up", "--data-dir", str(tmp_path)) == ("cloud", "default")
