"""Backend of a run: device, precision, compilation, memory and process group."""
