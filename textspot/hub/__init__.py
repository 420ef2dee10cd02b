"""Weights on the Hugging Face hub, by addresses such as hf://owner/name. Needs the extra `hub`."""
