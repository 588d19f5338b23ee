"""Many methods on many objects."""
