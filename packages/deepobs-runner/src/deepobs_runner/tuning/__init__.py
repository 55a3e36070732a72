"""Tuning: which settings to try, on which split to choose, and what it cost.

docs/tuning.md describes the rulesets. Nothing is imported here, so that the command line can name
the rulesets without torch.
"""
