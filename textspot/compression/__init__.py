"""A trained spotter made smaller and faster: quantised, evaluated by what it reads, and run by an integer engine."""
