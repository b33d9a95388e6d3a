"""The agreement: one document that holds all that both sides sign, validated, versioned by its content."""

from ticket_contracts.agreement.conditions import Condition, Hours, matches
from ticket_contracts.agreement.model import Agreement
from ticket_contracts.agreement.published import Approval, Published, digest, parse_published

__all__ = ["Agreement", "Approval", "Condition", "Hours", "Published", "digest", "matches", "parse_published"]
