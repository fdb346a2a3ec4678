"""The kinds of objects, in the words that people use for them."""

import difflib
from enum import StrEnum

import typer


class Kind(StrEnum):
    """A kind of object; people may also write its plural."""

    THING = "thing"
    DEVICE = "device"
    SITE = "site"
    TENANT = "tenant"
    POLICY = "policy"
    USER = "user"
    API_KEY = "apikey"

    @property
    def plural(self) -> str:
        return "policies" if self is Kind.POLICY else f"{self.value}s"


KINDS = {word: kind for kind in Kind for word in (kind.value, kind.plural)}


def parse_kind(text: str) -> Kind:
    """``thing``, ``things``, ``Thing``.

    Raises:
        typer.BadParameter: a usage error that lists the kinds and names the nearest.
    """
    kind = KINDS.get(text.lower())
    if kind is None:
        near = difflib.get_close_matches(text.lower(), KINDS, n=1)
        advice = f"Did you mean {near[0]}? " if near else ""
        known = ", ".join(kind.plural for kind in Kind)
        raise typer.BadParameter(f"there is no kind {text!r}. {advice}Known: {known}.")
    return kind


def device_name(text: str) -> tuple[str, str]:
    """Tenant and device of ``TENANT/DEVICE``.

    Raises:
        typer.BadParameter: a usage error: there is no tenant in it.
    """
    tenant, slash, device = text.partition("/")
    if not (tenant and slash and device):
        raise typer.BadParameter(f"{text!r} is no device: write TENANT/DEVICE.")
    return tenant, device
