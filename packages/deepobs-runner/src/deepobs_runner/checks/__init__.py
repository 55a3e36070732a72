"""Checks: optimizers, the installation, and smoke tests of many problems."""
