"""Decoding, sampling, the sandbox for foreign files, and the camera-quality sensors."""
