"""The `textspot` command: one file per verb, with its options as a frozen dataclass and what it does as a function."""
