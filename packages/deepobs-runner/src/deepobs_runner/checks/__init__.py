"""Checks of an optimizer, of an installation, and of many problems in a few steps each."""
