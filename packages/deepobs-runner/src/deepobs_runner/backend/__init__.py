"""Where a run computes: device, precision, compilation, memory, several processes."""
