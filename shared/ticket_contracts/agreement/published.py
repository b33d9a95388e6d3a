"""A version of the agreement as `desk.agreement` holds it: keyed by the digest of its content, in force from an
instant."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from pydantic import AwareDatetime

from ticket_contracts.agreement.conditions import Strict
from ticket_contracts.agreement.model import Agreement


class Approval(Strict):
    """Who of which party approved this content, and when (UTC)."""

    party: str
    name: str
    at: AwareDatetime


class Published(Strict):
    """version: `digest` of the content. effective_at: decisions for this instant and later are made under it; a desk's
    first version is in force for everything before as well. approvals: named, of every party."""

    version: str
    effective_at: AwareDatetime
    approvals: list[Approval]
    agreement: Agreement


def digest(agreement: Agreement) -> str:
    """The version: the first 128 bits of the SHA-256 of the content's canonical JSON, as 32 hex digits."""
    content: Any = agreement.model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:32]


def parse_published(value: bytes) -> Published:
    """One record of `desk.agreement`. Raises ValueError when the form is not this one or the digest is not the
    content's."""
    published = Published.model_validate_json(value)
    actual = digest(published.agreement)
    if actual != published.version:
        raise ValueError(f"agreement {published.version} was altered: its content's digest is {actual}")
    return published
