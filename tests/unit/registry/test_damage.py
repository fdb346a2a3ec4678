"""A bit that flipped in a value of the registry lets nobody in, is told, and is repaired by writing."""

import logging

import msgspec
import pytest

from littoral.registry import Device
from littoral.registry.model import SPACE
from littoral.registry.service.shelf import load, load_all

KEY = "device/T/2"


def flip(node, key: str, at: int) -> None:
    value = bytearray(node.log.get(SPACE, key))
    value[at] ^= 1
    node.log.put(SPACE, key, bytes(value))
    node.commit()
    node.again()


@pytest.mark.parametrize("at", [0, 5, -10, -8, -1])
def test_a_damaged_value_is_as_good_as_not_there_until_it_is_written_again(
    node, caplog, at
) -> None:
    for name in ("1", "2", "3"):
        node.registry.put_device("T", name)
    node.commit()
    flip(node, KEY, at)
    registry = node.registry
    with caplog.at_level(logging.ERROR, "littoral.registry"):
        assert registry.device("T", "2") is None
        assert [d.id for d in registry.devices("T", limit=2)] == ["1", "3"]
        device = registry.device("T", "1")
    assert device is not None
    assert device.id == "1"
    assert caplog.records
    assert registry.statistics().damaged == 1
    registry.put_device("T", "2")
    again = registry.device("T", "2")
    assert again is not None
    assert again.id == "2"
    assert registry.statistics().damaged == 0
    node.commit()


def test_a_flip_in_what_parts_value_and_checksum_does_no_harm(node) -> None:
    node.registry.put_device("T", "2")
    node.commit()
    flip(node, KEY, -9)
    device = node.registry.device("T", "2")
    assert device is not None
    assert device.id == "2"


def test_a_damaged_password_lets_nobody_in(node) -> None:
    node.registry.put_device("T", "2")
    secret = {"type": "hashed-password", "auth-id": "two", "secrets": [{"pwd-plain": "x"}]}
    node.do(node.registry.set_credentials("T", "2", [secret]))
    node.commit()
    assert node.signs_in("two@T", "x") == "2"
    flip(node, "credentials/T/2", 40)
    assert node.signs_in("two@T", "x") == "gateway:authentication.failed"


def test_values_of_an_older_release_have_no_checksum_and_are_read(node) -> None:
    node.registry.put_device("T", "2")
    node.log.put(SPACE, KEY, node.log.get(SPACE, KEY)[:-9])
    node.log.put(SPACE, "thing/org.acme:2", node.log.get(SPACE, "thing/org.acme:2")[:-9])
    node.commit()
    node.again()
    device = node.registry.device("T", "2")
    assert device is not None
    assert node.registry.device_of("org.acme:2").device == "2"


def test_what_cannot_be_read_at_all_is_none(caplog) -> None:
    decoder = msgspec.json.Decoder(Device)
    with caplog.at_level(logging.CRITICAL, "littoral.registry"):
        assert load(b"{", decoder) is None
        assert load(None, decoder) is None
        assert load_all([b"\xff", b"[]", b"{}"], decoder) == []
