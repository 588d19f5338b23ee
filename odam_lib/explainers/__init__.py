"""Methods of explanation: one file each, all called the same way, all returning ``HeatMaps``."""
