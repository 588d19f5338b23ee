"""Pictures and widgets."""
