"""A week of a company's support desk, made up from a seed: several tools, several languages, and what goes wrong in
them."""

from relaydesk_replay.week.story import make_week

__all__ = ["make_week"]
