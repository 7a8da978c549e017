"""Suffixes of the files of video."""

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv",
    ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
))
IMAGE_SUFFIXES = frozenset((
    ".avif", ".bmp", ".exr", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
))
# fmt: on
