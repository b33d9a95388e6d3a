"""Proves the eight invariants from the topics alone: it knows the contracts and the calendar, and no service."""
