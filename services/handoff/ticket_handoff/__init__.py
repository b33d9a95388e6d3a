"""Decides who owns a ticket: every transfer of ownership, with its context."""
