"""Scopes of the data-flow walker."""


class Scopes:
    """Which variable a name means: a stack of scopes, the innermost meaning found at once."""

    def __init__(self) -> None:
        self.meanings: dict[
            str, list[tuple[int, int]]
        ] = {}  # name -> (depth, variable), inner last
        self.names: list[list[str]] = [[]]  # by depth: what its scope has defined
        self.functions = [0]  # depths of the scopes that are functions
        self.count = 0

    def open(self, is_function: bool) -> None:
        if is_function:
            self.functions.append(len(self.names))
        self.names.append([])

    def close(self) -> None:
        for name in self.names.pop():
            self.meanings[name].pop()
        if self.functions[-1] == len(self.names):
            self.functions.pop()

    def find(self, name: str) -> int | None:
        known = self.meanings.get(name)
        return known[-1][1] if known else None

    def find_in(self, depth: int, name: str) -> int | None:
        for at, variable in reversed(self.meanings.get(name, ())):
            if at <= depth:
                return variable if at == depth else None
        return None

    def define(self, depth: int, name: str) -> int:
        """A new variable of this name in the scope of that depth."""
        variable = self.count
        self.count += 1
        known = self.meanings.setdefault(name, [])
        at = len(known)
        while at and known[at - 1][0] > depth:
            at -= 1
        if at and known[at - 1][0] == depth:
            known[at - 1] = (depth, variable)
        else:
            known.insert(at, (depth, variable))
            self.names[depth].append(name)
        return variable
