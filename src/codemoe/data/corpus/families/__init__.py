"""One module a family; each offers `tasks()`, an iterator over its semantics in a fixed order."""
