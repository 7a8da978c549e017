"""A small classifier of pictures that Sentinel trains, proves and heals: an example of a model of your own."""
