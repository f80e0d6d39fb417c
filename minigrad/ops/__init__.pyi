"""For type checkers: the functions that `__init__.py` collects from the families are whatever they are there."""

from typing import Any

FAMILIES: list[str]
PUBLIC: list[str]
METHODS: list[str]

def __getattr__(name: str) -> Any: ...
