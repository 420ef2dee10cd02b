"""A trained spotter made smaller and faster: quantised, judged by what it reads, and run by an integer engine."""
