"""What a partner's contract keeps inside: the parts that depend on the ticket alone, not on hours, load or caps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ticket_contracts.agreement.model import Partner
from ticket_contracts.routing import TicketFacts

Kept = Literal["never_flags", "categories", "customers", "languages"]
"""A part of a contract that keeps a ticket inside."""


class Terms:
    """One contract, compiled. regions: where the partner sees data, for `Agreement.residency`."""

    __slots__ = ("_ancestors", "_customers", "_languages", "_never", "categories", "regions")

    def __init__(self, partner: Partner, ancestors: Mapping[str, frozenset[str]]) -> None:
        self._ancestors = ancestors
        self._never = frozenset(partner.never_flags)
        self._customers = None if partner.customers is None else frozenset(partner.customers)
        self._languages = None if partner.languages is None else frozenset(partner.languages)
        self.categories = None if partner.categories is None else frozenset(partner.categories)
        self.regions = frozenset(partner.regions)

    def keeps(self, facts: TicketFacts) -> Kept | None:
        """The part of the contract that keeps this ticket inside, if one does. What is unknown is not allowed."""
        if not self._never.isdisjoint(facts.flags):
            return "never_flags"
        if self.categories is not None:
            above = self._ancestors.get(facts.category) if facts.category is not None else None
            if above is None or above.isdisjoint(self.categories):
                return "categories"
        if self._customers is not None and facts.customer not in self._customers:
            return "customers"
        if self._languages is not None:
            language = facts.language
            if language is None or (
                language not in self._languages and language.partition("-")[0] not in self._languages
            ):
                return "languages"
        return None

    def sees(self, allowed: frozenset[str]) -> bool:
        """Whether data that may be seen in these regions alone may be given to the partner."""
        return bool(self.regions) and self.regions <= allowed
