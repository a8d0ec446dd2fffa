"""A finished mixture in formats that other people's tools load. The entry is `command.py`."""
