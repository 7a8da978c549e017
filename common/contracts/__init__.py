"""Messages that are sent between processes and machines, or stored: frozen, typed and validated, by subject."""
