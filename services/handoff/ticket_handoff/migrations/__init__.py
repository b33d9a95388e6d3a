"""The database's schema, step by step; run by `python -m ticket_handoff migrate`."""
