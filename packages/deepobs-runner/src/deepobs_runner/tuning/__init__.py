"""Tuning: search spaces, samplers, studies, the choice of the winner and its cost.

docs/tuning.md describes the rulesets. Nothing is imported here, so that the command line can name
the rulesets without torch.
"""
