"""The review of both sides: what a month or a quarter of facts says, as a page, CSV and JSON."""
