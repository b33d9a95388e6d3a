"""Decides what a source's message means: the normalized ticket."""
