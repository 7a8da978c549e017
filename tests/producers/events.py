"""A good camera event for tests, but for its `dataref` or `data`."""

EVENT = {
    "specversion": "1.0",
    "id": "cam7-1",
    "source": "/cameras/cam7",
    "type": "io.sentinel.frame.v1",
    "datacontenttype": "image/png",
}
