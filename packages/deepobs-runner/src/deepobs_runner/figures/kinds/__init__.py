"""The figures there are: a module for each kind, of its name."""
