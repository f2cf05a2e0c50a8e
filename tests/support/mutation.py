"""Mutation of decision rules: each mutant of a pure module is held against its tests, which must notice.

    python -m tests.support.mutation        as `make mutation` does; exit code 1 below LEAST_KILLED_PERCENT

A mutant is one change of the syntax tree: a comparison, an operator, a constant, a condition or a choice. It is tested
in a forked child, in which the mutated module stands in the place of the real one before any test is imported.
"""

import ast
import copy
import importlib.util
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Final

import hypothesis
import pytest

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = "tests/unit/services/verdict"
TARGETS: Final = {
    "services.verdict.domain": [f"{TESTS}/test_domain.py"],
    "services.verdict.policy": [f"{TESTS}/test_policy.py"],
}
LEAST_KILLED_PERCENT: Final = 90.0
# A mutant may never end.
SECONDS_EACH: Final = 240
_COMPARISONS: Final[dict[type[ast.cmpop], list[type[ast.cmpop]]]] = {
    ast.Lt: [ast.LtE, ast.GtE],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE],
    ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
}
_CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any", "sin": "cos", "cos": "sin"}

Change = Callable[[ast.AST], None]


def changes(node: ast.AST) -> Iterator[tuple[str, Change]]:  # noqa: C901, PLR0912 - a list of changes, one a case
    """Give the changes of one node: what each is called, and what makes it on a copy of the node."""
    match node:
        case ast.Compare(ops=ops):
            for index, operator in enumerate(ops):
                for other in _COMPARISONS.get(type(operator), []):
                    yield f"{type(operator).__name__} becomes {other.__name__}", _comparison(index, other)
        case ast.BoolOp(op=ast.And()):
            yield "and becomes or", lambda found: setattr(found, "op", ast.Or())
        case ast.BoolOp(op=ast.Or()):
            yield "or becomes and", lambda found: setattr(found, "op", ast.And())
        case ast.BinOp(op=operation) if type(operation) in _OPERATORS:
            other_operation = _OPERATORS[type(operation)]
            yield f"{type(operation).__name__} changes", lambda found: setattr(found, "op", other_operation())
        case ast.UnaryOp(op=ast.Not()):
            yield "not goes", lambda found: setattr(found, "op", ast.UAdd())
        case ast.Constant(value=bool() as truth):
            yield f"{truth} changes", lambda found: setattr(found, "value", not truth)
        case ast.Constant(value=int() | float() as number):
            yield f"{number} grows", lambda found: setattr(found, "value", number + 1)
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield f"{name} becomes {_CALLS[name]}", lambda found: setattr(found.func, "id", _CALLS[name])  # type: ignore[attr-defined] # a call's
        case ast.If() | ast.IfExp():
            for truth in (True, False):
                yield f"the condition is always {truth}", _condition(always=truth)
        case ast.Return(value=ast.Attribute(value=ast.Name(id=enum), attr=member)):
            yield f"{enum}.{member} is not returned", lambda found: setattr(found, "value", ast.Constant(None))
        case ast.match_case(guard=ast.expr()):
            yield "the guard goes", lambda found: setattr(found, "guard", None)


def _comparison(index: int, other: type[ast.cmpop]) -> Change:
    def change(found: ast.AST) -> None:
        assert isinstance(found, ast.Compare)
        found.ops[index] = other()

    return change


def _condition(*, always: bool) -> Change:
    def change(found: ast.AST) -> None:
        assert isinstance(found, ast.If | ast.IfExp)
        found.test = ast.Constant(always)

    return change


def mutants(source: str) -> Iterator[tuple[str, ast.Module]]:
    """Give each mutant of a module: line and change, and its syntax tree. Types and docstrings are no rules."""
    tree = ast.parse(source)
    for number, node in enumerate(ast.walk(tree)):
        for name, change in changes(node):
            mutant = copy.deepcopy(tree)
            same = next(found for index, found in enumerate(ast.walk(mutant)) if index == number)
            change(same)
            line = getattr(node, "lineno", None) or getattr(getattr(node, "guard", None), "lineno", 0)
            yield f"line {line}: {name}", ast.fix_missing_locations(mutant)


def killed(module: str, tree: ast.Module, tests: list[str]) -> bool:
    """Say whether a test notices; a mutant that does not even import, or never ends, is noticed too."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS_EACH)
        try:
            _put_in_place(module, tree)
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests])
        except BaseException:  # noqa: BLE001 - whatever a mutant does
            code = 1
        os._exit(int(code != 0))
    _, status = os.waitpid(child, 0)
    return status != 0


def _put_in_place(module: str, tree: ast.Module) -> None:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    mutated = ModuleType(module)
    mutated.__file__ = spec.origin
    sys.modules[module] = mutated
    exec(compile(tree, spec.origin, "exec"), mutated.__dict__)
    package, _, name = module.rpartition(".")
    setattr(importlib.import_module(package), name, mutated)


def main() -> int:
    """Test every mutant and say which live. Returns the exit code."""
    os.chdir(ROOT)
    # The same examples each time, few of them: rules have tests of their own, generated ones hold their order.
    hypothesis.settings.register_profile("mutation", max_examples=15, derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("mutation")
    enough = True
    for module, tests in TARGETS.items():
        source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()
        if killed(module, ast.parse(source), tests):
            print(f"{module}: its tests fail without any change")
            return 1
        results = []
        for name, tree in mutants(source):
            results.append(killed(module, tree, tests))
            if not results[-1]:
                print(f"{module}, {name}: lives", flush=True)
        percent = 100 * sum(results) / len(results)
        print(f"{module}: {sum(results)} of {len(results)} mutants killed, {percent:.1f} %", flush=True)
        enough = enough and percent >= LEAST_KILLED_PERCENT
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
