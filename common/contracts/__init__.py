"""What travels between processes and machines: frozen, typed and validated messages, by subject."""
