"""Layers with TensorFlow's SAME padding, and the resize of its first version."""
