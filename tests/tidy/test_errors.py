"""Codes of errors are API: well-formed, explained, and each means one thing."""

import importlib
import pkgutil
import re

import pytest

import littoral
from littoral.kernel.errors import Kind, LittoralError
from littoral.twin.statuses import STATUS

CODE = re.compile(r"[a-z][A-Za-z0-9]*(?:[._:-][A-Za-z0-9]+)+|internalerror")  # the last is Ditto's

# Ditto gives one code to what are two refusals here; the first names the meaning that both share.
SHARED = {
    "command.timeout": {"CommandLate", "MessageTimeout"},
    "things:thing.notcreatable": {"LiveNotCreatable", "ThingNotCreatable"},
    "policies:id.notsettable": {"PolicyIdNotSettable", "PolicyIdFixed"},
}


def subclasses(base):
    yield base
    for cls in base.__subclasses__():
        if cls.__module__.startswith("littoral."):
            yield from subclasses(cls)


@pytest.fixture(scope="module")
def errors():
    for found in pkgutil.walk_packages(littoral.__path__, "littoral."):
        importlib.import_module(found.name)
    return sorted(set(subclasses(LittoralError)), key=lambda cls: (cls.__module__, cls.__name__))


def test_every_error_says_when_it_happens(errors):
    assert not [
        cls.__qualname__ for cls in errors if not (cls.__dict__.get("__doc__") or "").strip()
    ]


def test_codes_are_dotted_words(errors):
    assert not {cls.__name__: cls.code for cls in errors if not CODE.fullmatch(cls.code)}


def test_a_code_belongs_to_one_class(errors):
    owners = {}
    for cls in errors:
        if "code" in cls.__dict__:
            owners.setdefault(cls.code, set()).add(cls.__name__)
    twice = {code: names for code, names in owners.items() if len(names) > 1}
    assert twice == SHARED


def test_every_kind_has_its_http_status():
    assert set(STATUS) == set(Kind)
