"""Decides category, kind, impact, urgency, priority and tier of a ticket."""
