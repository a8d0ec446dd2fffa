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
from collections.abc import Iterator
from dataclasses import dataclass

from codemoe.evaluate.codebleu.dataflow_tables import DATAFLOW_TABLES, DataflowTable, Rule
from codemoe.evaluate.codebleu.tree import Node, SyntaxTree

COMES_FROM = "comesFrom"
COMPUTED_FROM = "computedFrom"

Edge = tuple[int, str, tuple[int, ...]]


def data_flow(tree: SyntaxTree, language: str) -> Counter[Edge] | None:
    """Count the edges of a program; None when the language has no table row."""
    table = DATAFLOW_TABLES.get(language)
    return None if table is None else Counter(_numbered(_Walker(table).edges_of(tree.nodes[0])))


def _numbered(edges: list[Edge]) -> Iterator[Edge]:
    numbers: dict[int, int] = {}
    for target, relation, sources in edges:
        for variable in (target, *sources):
            numbers.setdefault(variable, len(numbers))
        yield numbers[target], relation, tuple(sorted(numbers[source] for source in sources))


@dataclass(slots=True, eq=False)
class _Scope:
    variables: dict[str, int]
    is_function: bool


@dataclass(frozen=True, slots=True)
class _Walk:
    node: Node
    parent: Node


@dataclass(frozen=True, slots=True)
class _Bind:
    """Give the receivers a value, once everything that flows in has been walked."""

    receivers: list[Node]  # name leaves
    values: list[Node]
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
_Step = _Walk | _Bind | _Open | _Close


class _Walker:
    """Walks one program with a stack of its own: answers nest deeper than Python recurses."""

    def __init__(self, table: DataflowTable) -> None:
        self.table = table
        self.scopes = [_Scope({}, True)]
        self.edges: list[Edge] = []
        self.variable_at: dict[int, int] = {}  # id of a name leaf -> its variable
        self.count = 0

    def edges_of(self, root: Node) -> list[Edge]:
        stack: list[_Step] = [_Walk(root, root)]
        while stack:
            step = stack.pop()
            if isinstance(step, _Walk):
                stack.extend(reversed(self.walk(step.node, step.parent)))
            elif isinstance(step, _Bind):
                self.bind(step)
            elif isinstance(step, _Open):
                self.scopes.append(_Scope({}, False))
            else:
                self.scopes.pop()
        return self.edges

    def walk(self, node: Node, parent: Node) -> list[_Step]:
        """Note the use of a name; for inner nodes say what to do next, first step first."""
        table, kind = self.table, node.type
        if not node.children:
            if kind in table.names:
                self.use(node, parent)
            return []
        if kind in table.skipped:
            return []
        rule = table.rules.get(kind)
        if rule is not None:
            steps = self.follow_rule(node, rule, parent)
        elif kind in table.binders:
            steps = []
            for child in node.children:
                if child.type in table.rules:
                    steps.append(_Walk(child, node))
                elif child.named:
                    steps += self.receive(child, [], Rule("", declares=True), False)
        else:
            late = table.late.get(kind) if table.late else None
            children = node.children
            if late:
                children = sorted(children, key=lambda child: child.role == late)
            steps = [_Walk(child, node) for child in children if child.named]
        if kind in table.functions or kind in table.blocks:
            self.scopes.append(_Scope({}, kind in table.functions))
            steps.append(_CLOSE)
        return steps

    def use(self, name: Node, parent: Node) -> None:
        if parent.type == "ERROR" or (parent.type, name.role) in self.table.not_variables:
            return
        variable = self.find(name.text)
        if variable is not None:
            self.variable_at[id(name)] = variable
            self.edges.append((variable, COMES_FROM, (variable,)))

    def follow_rule(self, node: Node, rule: Rule, parent: Node) -> list[_Step]:
        values: list[Node] = []
        targets: list[Node] = []
        others: list[Node] = []
        augments = rule.augments
        for child in node.children:
            role = child.role or ""
            if role == "operator" and child.type.endswith("="):
                augments |= child.type not in ("=", ":=")
            if not child.named:
                continue
            bucket = others
            if role == rule.values:
                bucket = values
            elif role == rule.targets:
                bucket = targets
            bucket.append(child)
        hoisted = parent.type in self.table.hoisted
        if augments != rule.augments:
            rule = Rule(rule.targets, rule.values, rule.declares, augments)
        steps: list[_Step] = [_Walk(child, node) for child in values]
        for target in targets:
            if target.type in self.table.rules:
                steps.append(_Walk(target, node))
            else:
                steps += self.receive(target, values, rule, hoisted)
        return [*steps, *(_Walk(child, node) for child in others)]

    def receive(self, target: Node, values: list[Node], rule: Rule, hoisted: bool) -> list[_Step]:
        """Steps that give `values` to a target; a list of targets is taken item by item."""
        sequences = self.table.sequences
        if target.type not in sequences:
            return self.receive_one(target, values, rule, hoisted)
        targets = [child for child in target.children if child.named]
        per_target = [values] * len(targets)
        if len(values) == 1 and values[0].type in sequences:
            items = [[child] for child in values[0].children if child.named]
            if len(items) == len(targets):
                per_target = items
        return [
            step
            for one, flowing in zip(targets, per_target, strict=True)
            for step in self.receive(one, flowing, rule, hoisted)
        ]

    def receive_one(
        self, target: Node, values: list[Node], rule: Rule, hoisted: bool
    ) -> list[_Step]:
        table = self.table
        steps: list[_Step] = []
        receivers: list[Node] = []
        decorations: list[Node] = []
        is_access = False
        pending = [target]
        while pending:
            node = pending.pop()
            if not node.children:
                if node.type in table.names:
                    receivers.append(node)
                continue
            role = table.accesses.get(node.type)
            if role is not None:
                is_access = True
            else:
                role = table.declarators.get(node.type)
            if role is None:
                pending.extend(child for child in reversed(node.children) if child.named)
                continue
            around = [child for child in node.children if child.named and child.role != role]
            pending.extend(child for child in node.children if child.role == role)
            decorations += around
            # What decorates a declarator (parameters of a function type) names nothing out here.
            walks: list[_Step] = [_Walk(child, node) for child in around]
            steps += walks if is_access else [_OPEN, *walks, _CLOSE]
        steps.append(
            _Bind(
                receivers,
                values + decorations,
                copies=not decorations and len(values) == 1 and not values[0].children,
                is_access=is_access,
                declares=rule.declares,
                hoisted=hoisted,
                augments=rule.augments,
            )
        )
        return steps

    def bind(self, step: _Bind) -> None:
        # A name that means something else out here belongs to a function or loop in the value.
        sources = {
            self.variable_at[id(leaf)]
            for value in step.values
            for leaf in _leaves(value)
            if id(leaf) in self.variable_at and self.find(leaf.text) == self.variable_at[id(leaf)]
        }
        copies = step.copies and not step.augments
        for name in step.receivers:
            if step.is_access:
                variable = self.find(name.text)
                if variable is None:
                    continue
            else:
                variable = self.variable_for(name.text, step)
            self.variable_at[id(name)] = variable
            flowing = sources | {variable} if step.augments else sources
            if flowing:
                relation = COMES_FROM if copies else COMPUTED_FROM
                self.edges.append((variable, relation, tuple(sorted(flowing))))

    def find(self, name: str) -> int | None:
        for scope in reversed(self.scopes):
            if name in scope.variables:
                return scope.variables[name]
        return None

    def variable_for(self, name: str, step: _Bind) -> int:
        """The variable that a definition of this name sets, made now if it is new."""
        function = next(scope for scope in reversed(self.scopes) if scope.is_function)
        if step.declares:
            scope = function if step.hoisted else self.scopes[-1]
            known = scope.variables.get(name) if step.hoisted else None
        elif self.table.assignment_is_local and not step.augments:
            scope, known = function, function.variables.get(name)
        else:
            # Set but never declared: a field or a global, which the whole program shares.
            scope, known = self.scopes[0], self.find(name)
        if known is None:
            known = scope.variables[name] = self.count
            self.count += 1
        return known


def _leaves(node: Node) -> Iterator[Node]:
    pending = [node]
    while pending:
        node = pending.pop()
        if node.children:
            pending.extend(node.children)
        else:
            yield node
