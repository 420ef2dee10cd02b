"""Millions of images, read by many processes or machines into Parquet files; what was read is never read again."""
