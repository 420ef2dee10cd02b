"""Reading over HTTP: an upload in, what was read out, within limits. Needs the extra `serve`."""
