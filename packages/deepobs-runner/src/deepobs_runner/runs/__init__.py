"""One run, from its configuration to its result file."""
