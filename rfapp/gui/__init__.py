"""The window. PySide6 is imported here and in no other room."""
