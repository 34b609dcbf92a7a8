"""The commands of `morphable-train`; a module is imported when its command is called."""
