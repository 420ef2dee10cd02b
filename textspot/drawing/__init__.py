"""Pictures of polygons and their texts: on an image, and as outlines without one."""
