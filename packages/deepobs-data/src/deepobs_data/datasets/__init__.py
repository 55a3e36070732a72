"""The data sets: each is read from its files, or made, and becomes a `Dataset`."""
