"""A page to try a spotter on: a photograph in, and what was read over it. Needs the extra `demo`."""
