"""Fetching live cameras: connections, segments, and the spool on disk. `producers.rtsp` holds them together."""
