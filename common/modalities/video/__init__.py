"""The video modality: decoding, sampling, chunking, and the camera-quality sensors."""
