"""Proves the eight invariants from the topics alone."""
