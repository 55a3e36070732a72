"""The commands of `deepobs`: a module for each, of its name."""
