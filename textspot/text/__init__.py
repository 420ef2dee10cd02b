"""Strings and tokens: charset, CTC codec, normalisation."""
