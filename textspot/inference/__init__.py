"""From an image to text instances: the spotter, tiles of large images, reading ahead."""
