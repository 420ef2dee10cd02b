"""The networks: a backbone, a neck, a detection head, a region pooling and a recogniser, composed in
`spotting_network`."""
