"""The networks of the benchmark: a module per family."""
