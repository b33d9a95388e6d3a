"""Decides what time is left: every clock, warning and breach."""
