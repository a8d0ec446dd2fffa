"""The semantic part of CodeBLEU: where each variable's value comes from.

One walker for all languages; what differs between them is a row of dataflow_tables.py. It reads
the program in source order with nested scopes, so two loops may both use `i` and a consistent
renaming changes nothing. An edge is (variable, relation, sources):

- a use of a known variable: (v, comesFrom, (v,));
- a plain copy `y = x`: (y, comesFrom, (x,));
- anything else that gives a value: (y, computedFrom, its sources), the old value among them for
  `+=` and `++`; for `a[i] = x`, `a` is computed from `i` and `x`.

A name is a variable once the program has given it a value (parameter, declaration, assignment,
loop target); names of called functions, types, attributes and modules never are. Variables are
numbered by their first appearance in the edges, as in arXiv:2009.10297 section 3.4.
"""

from collections import Counter
from dataclasses import dataclass

from codemoe.evaluate.codebleu.dataflow_plan import FIRST_CHILD, Plan, Rule, plan_for
from codemoe.evaluate.codebleu.dataflow_scopes import Scopes
from codemoe.evaluate.codebleu.grammar import ERROR, NAMED
from codemoe.evaluate.codebleu.tree import SyntaxTree

COMES_FROM = "comesFrom"
COMPUTED_FROM = "computedFrom"
# Of a value with more names than this only the first flow in: nested values must not be read
# again at every level.
MAX_SOURCES = 2_000

Edge = tuple[int, str, tuple[int, ...]]


def data_flow(tree: SyntaxTree) -> Counter[Edge] | None:
    """Count the edges of a program (without its comments); None: the language has no table."""
    plan = plan_for(tree.grammar)
    return None if plan is None else _Walker(tree, plan).walk()


class _Edges:
    """Counts edges as they appear, and numbers their variables by first appearance."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}  # variable -> number
        self.uses: dict[int, int] = {}  # number -> how often the variable is used
        self.others: Counter[Edge] = Counter()

    def add(self, target: int, relation: str, sources: set[int]) -> None:
        numbers = self.numbers
        number = numbers.setdefault(target, len(numbers))
        found = [numbers.setdefault(source, len(numbers)) for source in sorted(sources)]
        self.others[number, relation, tuple(sorted(found))] += 1

    def counted(self) -> Counter[Edge]:
        edges = self.others
        for number, count in self.uses.items():
            edges[number, COMES_FROM, (number,)] += count
        return edges


@dataclass(slots=True)
class _Bind:
    """Give the receivers a value, once everything that flows in has been walked."""

    receivers: list[int]  # name leaves
    values: list[int]
    copies: bool  # the one value itself is received, not something computed with it
    is_access: bool
    declares: bool
    hoisted: bool
    augments: bool


class _Open:
    """Start a scope."""


class _Close:
    """End the innermost scope."""


_OPEN, _CLOSE = _Open(), _Close()
# What to do next; a pair is a range of `marks` to walk.
_Step = tuple[int, int] | _Bind | _Open | _Close


class _Walker:
    """Walks one program with a stack of its own: answers nest deeper than Python recurses.

    Only `marks`, the nodes that the plan knows, are looked at; all others are transparent.
    """

    def __init__(self, tree: SyntaxTree, plan: Plan) -> None:
        self.tree = tree
        self.plan = plan
        is_known = plan.is_known[tree.codes]
        self.marks: list[int] = is_known.nonzero()[0].tolist()
        self.place: list[int] = [0, *is_known.cumsum().tolist()]  # marks before a node
        self.scopes = Scopes()
        self.edges = _Edges()
        self.variable_at: dict[int, int] = {}  # name leaf -> its variable

    def walk(self) -> Counter[Edge]:
        tree, plan, marks, place = self.tree, self.plan, self.marks, self.place
        kinds, after, name_at = tree.kinds, tree.after, tree.text_of
        names, only_scopes = plan.names, plan.only_scopes
        parents, fields, not_variables = tree.parents, tree.fields, plan.not_variables
        name_parents = plan.name_parents
        scopes, variable_at, meanings = self.scopes, self.variable_at, self.scopes.meanings
        numbers, uses = self.edges.numbers, self.edges.uses
        stack: list[_Step] = [(0, len(marks))]
        while stack:
            step = stack.pop()
            if isinstance(step, tuple):
                at, end = step
                while at < end:
                    node = marks[at]
                    kind = kinds[node]
                    behind = after[node]
                    if behind == node + 1:
                        at += 1
                        if kind not in names:
                            continue
                        # The use of a name, if it is that of a variable.
                        known = meanings.get(name_at(node))
                        if not known:
                            continue
                        parent = kinds[parents[node]]
                        if parent == ERROR or (parent, fields[node]) in not_variables:
                            continue
                        if name_parents and parent not in name_parents:
                            continue
                        variable = variable_at[node] = known[-1][1]
                        number = numbers.setdefault(variable, len(numbers))
                        uses[number] = uses.get(number, 0) + 1
                        continue
                    behind = place[behind]
                    if behind < end:
                        stack.append((behind, end))
                    if kind in only_scopes:
                        scopes.open(kind in plan.functions)
                        stack.append(_CLOSE)
                        stack.append((at + 1, behind))
                    else:
                        stack.extend(reversed(self.enter(node)))
                    break
            elif isinstance(step, _Bind):
                self.bind(step)
            elif step is _OPEN:
                scopes.open(False)
            else:
                scopes.close()
        return self.edges.counted()

    def inside(self, node: int) -> tuple[int, int]:
        """The marks of a node, itself included."""
        return self.place[node], self.place[self.tree.after[node]]

    def children(self, node: int) -> list[int]:
        """Named children."""
        after, kinds, flags = self.tree.after, self.tree.kinds, self.tree.grammar.flags
        found = []
        child, end = node + 1, after[node]
        while child < end:
            if flags[kinds[child]] & NAMED:
                found.append(child)
            child = after[child]
        return found

    def is_simple(self, value: int) -> bool:
        tree = self.tree
        return tree.after[value] == value + 1 or tree.kinds[value] in self.plan.wrappers

    def may_be_variable(self, name: int) -> bool:
        allowed = self.plan.name_parents
        return not allowed or self.tree.kinds[self.tree.parents[name]] in allowed

    def has_child(self, node: int, wanted: frozenset[int]) -> bool:
        kinds, after = self.tree.kinds, self.tree.after
        child, end = node + 1, after[node]
        while child < end:
            if kinds[child] in wanted:
                return True
            child = after[child]
        return False

    def enter(self, node: int) -> list[_Step]:
        """What to do for an inner node that the plan knows, first step first."""
        plan, kinds = self.plan, self.tree.kinds
        kind = kinds[node]
        if kind in plan.skipped:
            return []
        steps: list[_Step] = []
        rule = plan.rules.get(kind)
        if rule is not None and (not rule.needs or self.has_child(node, rule.needs)):
            steps += self.follow_rule(node, rule)
        elif kind in plan.binders:
            for child in self.children(node):
                if kinds[child] in plan.rules:
                    steps.append(self.inside(child))
                else:
                    steps += self.receive(child, [], plan.parameter, False)
        else:
            children = self.children(node)
            late = plan.late.get(kind)
            if late is not None:
                children.sort(key=lambda child: self.tree.fields[child] == late)
            steps += [self.inside(child) for child in children]
        if kind in plan.functions or kind in plan.blocks:
            self.scopes.open(kind in plan.functions)
            steps.append(_CLOSE)
        return steps

    def follow_rule(self, node: int, rule: Rule) -> list[_Step]:
        plan, tree, place = self.plan, self.tree, self.place
        kinds, fields, after, flags = tree.kinds, tree.fields, tree.after, tree.grammar.flags
        values: list[int] = []
        targets: list[int] = []
        others: list[_Step] = []
        augments = rule.augments
        child, end = node + 1, after[node]
        while child < end:
            kind, role = kinds[child], fields[child]
            behind = after[child]
            if not flags[kind] & NAMED:
                augments = augments or kind in plan.augmenting
            elif self.flows(role, rule, not values):
                values.append(child)
            elif role == rule.targets:
                targets.append(child)
            elif place[child] < place[behind]:
                others.append((place[child], place[behind]))
            child = behind
        hoisted = kinds[tree.parents[node]] in plan.hoisted
        if augments and not rule.augments:
            rule = plan.augmented[kinds[node]]
        steps: list[_Step] = [self.inside(child) for child in values]
        for target in targets:
            kind = kinds[target]
            if kind in plan.rules or kind in plan.binders:
                steps.append(self.inside(target))
            elif after[target] == target + 1:
                if kind in plan.names and self.may_be_variable(target):
                    copies = len(values) == 1 and self.is_simple(values[0])
                    steps.append(
                        _Bind([target], values, copies, False, rule.declares, hoisted, augments)
                    )
            else:
                steps += self.receive(target, values, rule, hoisted)
        steps += others
        return steps

    def flows(self, role: int, rule: Rule, is_first: bool) -> bool:
        """Whether a child in this role is a value."""
        if rule.first_flows:
            return is_first and role == rule.targets
        return role == rule.values

    def receive(self, target: int, values: list[int], rule: Rule, hoisted: bool) -> list[_Step]:
        """Steps that give `values` to a target; a list of targets is taken item by item."""
        kinds, sequences = self.tree.kinds, self.plan.sequences
        if kinds[target] not in sequences:
            return self.receive_one(target, values, rule, hoisted)
        targets = self.children(target)
        per_target = [values] * len(targets)
        if len(values) == 1 and kinds[values[0]] in sequences:
            items = [[child] for child in self.children(values[0])]
            if len(items) == len(targets):
                per_target = items
        return [
            step
            for one, flowing in zip(targets, per_target, strict=True)
            for step in self.receive(one, flowing, rule, hoisted)
        ]

    def receive_one(self, target: int, values: list[int], rule: Rule, hoisted: bool) -> list[_Step]:
        plan, tree = self.plan, self.tree
        steps: list[_Step] = []
        receivers: list[int] = []
        decorations: list[int] = []
        is_access = False
        pending = [target]
        while pending:
            node = pending.pop()
            kind = tree.kinds[node]
            if tree.after[node] == node + 1:
                if kind in plan.names and self.may_be_variable(node):
                    receivers.append(node)
                continue
            role = plan.accesses.get(kind)
            if role is not None:
                is_access = True
            else:
                role = plan.declarators.get(kind)
            children = self.children(node)
            if role is None:
                pending.extend(reversed(children))
                continue
            if role == FIRST_CHILD:
                through, around = children[:1], children[1:]
            else:
                through = [child for child in children if tree.fields[child] == role]
                around = [child for child in children if tree.fields[child] != role]
            pending += through
            decorations += around
            # What decorates a declarator (parameters of a function type) names nothing out here.
            walks: list[_Step] = [self.inside(child) for child in around]
            steps += walks if is_access else [_OPEN, *walks, _CLOSE]
        steps.append(
            _Bind(
                receivers,
                values + decorations,
                copies=not decorations and len(values) == 1 and self.is_simple(values[0]),
                is_access=is_access,
                declares=rule.declares,
                hoisted=hoisted,
                augments=rule.augments,
            )
        )
        return steps

    def bind(self, step: _Bind) -> None:
        tree, scopes, variable_at = self.tree, self.scopes, self.variable_at
        sources: set[int] = set()
        for value in step.values:
            low, high = self.inside(value)
            for leaf in self.marks[low : min(high, low + MAX_SOURCES)]:
                variable = variable_at.get(leaf)
                if variable is not None and variable not in sources:
                    # A name that means something else out here belongs to a function or loop in
                    # the value.
                    name = tree.text_of(leaf)
                    if scopes.find(name) == variable:
                        sources.add(variable)
        relation = COMES_FROM if step.copies and not step.augments else COMPUTED_FROM
        for leaf in step.receivers:
            name = tree.text_of(leaf)
            if name == "_":  # thrown away, in every language that gives it values
                continue
            variable = scopes.find(name) if step.is_access else self.variable_for(name, step)
            if variable is None:
                continue
            variable_at[leaf] = variable
            flowing = sources | {variable} if step.augments else sources
            if flowing:
                self.edges.add(variable, relation, flowing)

    def variable_for(self, name: str, step: _Bind) -> int:
        """The variable that a definition of this name sets, made now if it is new."""
        scopes = self.scopes
        function = scopes.functions[-1]
        if step.declares:
            depth = function if step.hoisted else len(scopes.names) - 1
            known = scopes.find_in(depth, name) if step.hoisted else None
        elif self.plan.assignment_is_local and not step.augments:
            depth, known = function, scopes.find_in(function, name)
        else:
            # Set but never declared: a field or a global, which the whole program shares.
            depth, known = 0, scopes.find(name)
        return scopes.define(depth, name) if known is None else known
