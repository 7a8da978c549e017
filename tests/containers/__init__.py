"""The images and the compose file, really built and run: `make containers`."""
