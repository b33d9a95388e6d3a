"""Decides where a ticket goes, and why."""
