"""Reads a program as the package does: statement by statement, with the names' last places."""

import sys
from collections.abc import Callable

from codemoe.evaluate.codebleu.compat.dataflow_marks import Marks
from codemoe.evaluate.codebleu.compat.dataflow_plan import Plan
from codemoe.evaluate.codebleu.compat.dataflow_states import Edge, States, joined, merged_alike
from codemoe.evaluate.codebleu.tree import SyntaxTree

COMES_FROM, COMPUTED_FROM = "comesFrom", "computedFrom"
# Python gives up at 1,000 frames, of which the package and its caller use a few.
MAX_DEPTH = 970
MAX_FRAMES = 10 * MAX_DEPTH
_REMEMBERED = 8  # results kept for each loop


class Fails(Exception):
    """Where the package raises, and so takes the program for one without data flow."""


class Reader:
    """Reads one program; edges are appended to `edges`, `states` is changed in place."""

    def __init__(self, tree: SyntaxTree, plan: Plan, marks: Marks) -> None:
        self.tree = tree
        self.plan = plan
        self.edges: list[Edge] = []
        self.states: States = {}
        self.names, self.moved = marks.names, marks.moved
        self.marks, self.place = marks.nodes, marks.place
        self.is_inside = marks.is_inside
        self.remembered: dict[int, list[tuple[States, list[Edge], States]]] = {}

    def read_all(self) -> list[Edge]:
        if len(self.tree.kinds) - len(self.tree.leaves) > MAX_DEPTH < self._depth():
            raise Fails
        # A level of the tree takes several of our frames, where the package needs one.
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, MAX_FRAMES))
        try:
            self.read(0)
        finally:
            sys.setrecursionlimit(limit)
        return self.edges

    def _depth(self) -> int:
        deepest = 0
        opened: list[int] = []
        for node, end in enumerate(self.tree.after):
            while opened and opened[-1] <= node:
                opened.pop()
            if end > node + 1:
                opened.append(end)
                deepest = max(deepest, len(opened))
        return deepest

    # -- reading ------------------------------------------------------------------------------

    def read(self, node: int | None) -> None:
        """Read a node with the reader of its kind; most have none and are read through."""
        if node is None or self.is_inside[node]:
            raise Fails
        place = self.place
        at, end = place[node], place[self.tree.after[node]]
        if at < end and self.marks[at] == node and node not in self.names:
            self.read_known(node)
        else:
            self.read_range(at, end)

    def read_range(self, at: int, end: int) -> None:
        marks, names, place, after = self.marks, self.names, self.place, self.tree.after
        kinds, identifiers, moved = self.tree.kinds, self.plan.identifiers, self.moved
        states, add = self.states, self.edges.append
        while at < end:
            node = marks[at]
            name = names.get(node)
            if name is None:
                self.read_known(node)
                states, add = self.states, self.edges.append
                at = place[after[node]]
                continue
            at += 1
            token = moved.get(node, node) if moved else node
            known = states.get(name)
            if known is not None:
                add((name, token, COMES_FROM, (name,), known))
            else:
                if kinds[node] in identifiers:
                    states[name] = (token,)
                add((name, token, COMES_FROM, (), ()))

    def read_known(self, node: int) -> None:
        reader = self.plan.readers.get(self.tree.kinds[node])
        if reader is None:
            children = self.tree.children(node)
            clauses = self.plan.loop_clauses
            kinds = self.tree.kinds
            for child in sorted(children, key=lambda child: kinds[child] not in clauses):
                self.read(child)
        elif reader == "definition":
            self.definition(node)
        elif reader == "assignment":
            self.assignment(node)
        elif reader == "named_argument":
            self.named_argument(node)
        elif reader == "increment":
            names = self.variables(node)
            self.edges_between(names, names, COMPUTED_FROM)
        elif reader == "choice":
            self.choice(node)
        else:
            self.loop(node, getattr(self, reader))

    def definition(self, node: int) -> None:
        rules = self.plan.rules
        value: int | None
        name_at, value_at = rules.name_and_value
        if isinstance(name_at, str):
            name, value = self.child(node, name_at), self.child(node, str(value_at))
        else:
            children = self.tree.children(node)
            low, high = rules.children_with_value
            if name_at >= len(children):
                raise Fails
            name = children[name_at]
            value = children[int(value_at)] if low <= len(children) <= high else None
        if name is None:
            raise Fails
        if value is None:
            for token, text in self.variables(name):
                self.edges.append((text, token, COMES_FROM, (), ()))
                self.states[text] = (token,)
            return
        names, values = self.variables(name), self.variables(value)
        self.read(value)
        self.edges_between(names, values, COMES_FROM)

    def assignment(self, node: int) -> None:
        plan, kind = self.plan, self.tree.kinds[node]
        left, right = self.child(node, "left"), self.child(node, "right")
        if not plan.rules.assigns_in_pairs:
            self.read(right)
            if left is None or right is None:
                raise Fails
            self.edges_between(self.variables(left), self.variables(right), COMPUTED_FROM)
            return
        if kind in plan.loop_clauses:
            lefts, rights = [left], [self.tree.children(node)[-1]]
        elif right is None and kind in plan.optional_right:
            return
        else:
            lefts, rights = self.pairs(left, right)
            if kind in plan.outer_children:
                children = self.tree.children(node)
                lefts, rights = [children[0]], [children[-1]]
        self.assign_lists(lefts, rights)

    def named_argument(self, node: int) -> None:
        children = self.tree.children(node)
        if any(self.tree.kinds[child] in self.plan.equals for child in children):
            name, value = children[0], children[-1]
            self.read(value)
            self.edges_between(self.variables(name), self.variables(value), COMPUTED_FROM)
        else:
            for child in children:
                self.read(child)

    def assign_lists(self, lefts: list[int | None], rights: list[int]) -> None:
        for one in rights:
            self.read(one)
        for target, one in zip(lefts, rights, strict=False):
            if target is None:
                raise Fails
            sources = self.variables(one)
            names = tuple([text for _, text in sources])
            tokens = tuple([token for token, _ in sources])
            for token, text in self.variables(target):
                self.edges.append((text, token, COMPUTED_FROM, names, tokens))
                self.states[text] = (token,)

    def pairs(self, left: int | None, right: int | None) -> tuple[list[int | None], list[int]]:
        if left is None or right is None:
            raise Fails
        commas, kinds = self.plan.commas, self.tree.kinds
        lefts = [child for child in self.tree.children(left) if kinds[child] not in commas]
        rights = [child for child in self.tree.children(right) if kinds[child] not in commas]
        if len(lefts) != len(rights) or not lefts:
            return [left], [right]
        return list(lefts), rights

    def choice(self, node: int) -> None:
        plan, kinds = self.plan, self.tree.kinds
        before = self.states
        ends: list[States] = []
        straight = before.copy()
        has_else = kinds[node] in plan.with_else
        branched = False
        for child in self.tree.children(node):
            kind = kinds[child]
            has_else = has_else or kind in plan.with_else
            if kind not in plan.branches and not branched:
                self.states = straight
                self.read(child)
                straight = self.states
            else:
                branched = plan.rules.branches_to_end
                self.states = before.copy()
                self.read(child)
                ends.append(self.states)
        ends.append(straight)
        if plan.rules.keeps_states == "always" or not has_else:
            ends.append(before)
        self.states = joined(ends)

    def loop(self, node: int, read: Callable[[int], None]) -> None:
        """Read a loop with its reader and merge what it gives; not again for the same states."""
        known = self.remembered.setdefault(node, [])
        for before, segment, behind in known:
            if before == self.states:
                self.edges += segment
                self.states = behind.copy()
                return
        before = self.states.copy()
        outer, self.edges = self.edges, []
        read(node)
        segment = merged_alike(self.edges)
        self.edges = outer
        self.edges += segment
        if len(known) < _REMEMBERED:
            known.append((before, segment, self.states.copy()))

    def counted_loop(self, node: int) -> None:
        plan, kinds = self.plan, self.tree.kinds
        children = self.tree.children(node)
        for child in children:
            self.read(child)
        again = False
        for child in children:
            if again:
                self.read(child)
            elif kinds[child] in plan.again_after:
                if plan.rules.again_role:
                    update = self.child(child, plan.rules.again_role)
                    if update is not None:
                        self.read(update)
                again = True

    def foreach(self, node: int) -> None:
        plan = self.plan
        name_role, value_role, body_role = plan.rules.foreach_roles
        children = self.tree.children(node)
        if plan.rules.foreach_variables:
            kinds = self.tree.kinds
            named = [child for child in children if kinds[child] in plan.foreach_variables]
            value, name = [*named, None, None][:2]
        else:
            name, value = self.child(node, name_role), self.child(node, value_role)
        body = self.child(node, body_role) if body_role else None
        for _ in range(2):
            if plan.rules.foreach_lists:
                if plan.rules.foreach_in_pairs:
                    lefts, rights = self.pairs(name, value)
                elif value is None:
                    raise Fails
                else:
                    lefts, rights = [name], [value]
                self.assign_lists(lefts, rights)
            else:
                self.read(value)
                if name is None or value is None:
                    raise Fails
                self.edges_between(self.variables(name), self.variables(value), COMPUTED_FROM)
            if not plan.rules.foreach_block:
                self.read(body)
            elif self.tree.kinds[children[-1]] in plan.foreach_block:
                self.read(children[-1])

    def twice(self, node: int) -> None:
        children = self.tree.children(node)
        for _ in range(2):
            for child in children:
                self.read(child)

    # -- parts of the tree --------------------------------------------------------------------

    def child(self, node: int, role: str) -> int | None:
        """The first child in a role."""
        number = self.plan.roles.get(role, 0)
        fields, after = self.tree.fields, self.tree.after
        child, end = node + 1, after[node]
        while child < end:
            if fields[child] == number:
                return child
            child = after[child]
        return None

    def variables(self, node: int) -> list[tuple[int, str]]:
        """(token, text) of all variable leaves of a node."""
        if self.is_inside[node]:
            raise Fails
        names, moved = self.names, self.moved
        low, high = self.place[node], self.place[self.tree.after[node]]
        found = [(mark, names[mark]) for mark in self.marks[low:high] if mark in names]
        return [(moved.get(mark, mark), text) for mark, text in found] if moved else found

    def edges_between(
        self, names: list[tuple[int, str]], values: list[tuple[int, str]], relation: str
    ) -> None:
        """An edge from each value to each name."""
        for token, text in names:
            for source, source_text in values:
                self.edges.append((text, token, relation, (source_text,), (source,)))
            self.states[text] = (token,)
