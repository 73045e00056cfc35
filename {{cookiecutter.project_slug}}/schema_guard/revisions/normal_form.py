"""What a revision's file does, without how it is written.

Promise: two files of the same normal form do the same. What a formatter, a sorter of imports or the
project's own linter changes has the same normal form: layout, quotes, comments, docstrings,
annotations, imports that are added, removed, moved or renamed, texts that are put together.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

IMPORTED = "import:"  # no name in Python begins so
TYPE_CHECKING = {f"{IMPORTED}typing.TYPE_CHECKING", f"{IMPORTED}typing_extensions.TYPE_CHECKING"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NEGATED = {ast.In: ast.NotIn, ast.Is: ast.IsNot}


def normal_form(source: bytes) -> str:
    """Return a text that is the same for all files that do the same, as far as is looked at.

    Raises:
        SyntaxError: it is not of this version of Python.
        ValueError: it holds a NUL.
    """
    tree = ast.parse(source)
    return ast.dump(_Normalizer(_imported(tree)).visit(tree))


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return what the names stand for that are bound by imports alone, always by the same one."""
    targets: defaultdict[str, set[str]] = defaultdict(set)
    others: set[str] = set()
    for statement in _sure_imports(tree):
        for name, target in _bindings(statement):
            targets[name].add(target)
    sure = {id(statement) for statement in _sure_imports(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            others |= {name for name, _ in _bindings(node)} if id(node) not in sure else set()
        else:
            others |= set(_bound(node))
    return {
        name: next(iter(found))
        for name, found in targets.items()
        if len(found) == 1 and name not in others
    }


def _sure_imports(node: ast.AST, *, sure: bool = True) -> Iterator[ast.Import | ast.ImportFrom]:
    """Return the imports that run whenever the code around them does."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            if sure:
                yield child
        elif isinstance(child, FUNCTIONS):
            yield from _sure_imports(child)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from _sure_imports(child, sure=sure)
        else:
            yield from _sure_imports(child, sure=False)


def _bindings(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """Return the names that an import binds, each with what it stands for."""
    for alias in statement.names:
        if isinstance(statement, ast.Import):
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
        else:
            module = "." * statement.level + (statement.module or "")
            yield alias.asname or alias.name, f"{module}.{alias.name}"


def _bound(node: ast.AST) -> Iterator[str]:
    """Return the names that something else than an import binds."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Global | ast.Nonlocal):
        yield from node.names
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    elif isinstance(
        node, (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
    ):
        yield from [node.name] if node.name else []


class _Normalizer(ast.NodeTransformer):
    """Replaces what may be written in several ways by one of them."""

    def __init__(self, imported: dict[str, str]) -> None:
        self.imported = imported
        self.in_class = False

    # ast calls these by the names of its classes.
    def visit_Import(self, node: ast.Import) -> Any:
        return self._without_known(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        return None if node.module == "__future__" else self._without_known(node)

    def _without_known(self, node: Any) -> Any:
        names = [name for name, _ in _bindings(node)]
        left = [
            alias for name, alias in zip(names, node.names, strict=True) if not self._knows(name)
        ]
        node.names = left
        return node if left else None

    def _knows(self, name: str) -> bool:
        return name in self.imported and name != "*"

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id in self.imported:
            node.id = f"{IMPORTED}{self.imported[node.id]}"
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        of = node.value
        if isinstance(of, ast.Name) and of.id.startswith(IMPORTED):
            return ast.Name(f"{of.id}.{node.attr}", node.ctx)
        return node

    def visit_FunctionDef(self, node: Any) -> Any:
        node.returns, node.type_comment = None, None
        self._within(node, in_class=False)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self._within(node, in_class=True)
        return node

    def _within(self, node: ast.AST, *, in_class: bool) -> None:
        before, self.in_class = self.in_class, in_class
        self.generic_visit(node)
        self.in_class = before

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = node.type_comment = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if self.in_class:  # a model's or a dataclass's: there it says something
            return self.generic_visit(node)
        if node.value is None:
            return None
        return ast.Assign([self.visit(node.target)], self.visit(node.value))

    def visit_Assign(self, node: ast.Assign) -> Any:
        node.type_comment = None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, _node: ast.Pass) -> None:
        return None

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        is_for_types = isinstance(node.test, ast.Name) and node.test.id in TYPE_CHECKING
        return (node.orelse or None) if is_for_types else node

    def visit_Delete(self, node: ast.Delete) -> Any:
        self.generic_visit(node)
        targets = [t.elts if isinstance(t, ast.Tuple) else [t] for t in node.targets]
        node.targets = [each for group in targets for each in group]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        node.kind = None
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        self.generic_visit(node)
        parts: list[ast.expr] = []
        for part in node.values:
            if parts and _is_text(part) and _is_text(parts[-1]):
                parts[-1] = _joined(parts[-1], part)
            else:
                parts.append(part)
        if all(map(_is_text, parts)):
            return parts[0] if parts else ast.Constant("")
        node.values = parts
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        both = _is_text(node.left) and _is_text(node.right)
        return _joined(node.left, node.right) if both and isinstance(node.op, ast.Add) else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        of = node.operand
        if isinstance(node.op, ast.Not) and isinstance(of, ast.Compare) and len(of.ops) == 1:
            negated = NEGATED.get(type(of.ops[0]))
            return ast.Compare(of.left, [negated()], of.comparators) if negated else node
        return node


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _joined(one: Any, other: Any) -> ast.Constant:
    return ast.Constant(one.value + other.value)
