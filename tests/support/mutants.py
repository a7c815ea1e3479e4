"""Breaks the verifiers in one place after the other, and says what no test noticed: `make mutants`.

Tests are collected once, and the lines that each reaches noted. A mutant is a child of that process with one function's
code changed, which runs the tests that reach the line, the quickest first, until one fails. What stands outside of
functions is changed before anything is imported. Names of files (`token jwt`) restrict it to these.
"""

import ast
import copy
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import coverage
import pytest
from _pytest.runner import runtestprotocol
from hypothesis import settings

FOLDER = Path("gateway/verify")
TESTS = sorted(str(path) for path in Path("tests/gateway").glob("test_verify_*.py"))
QUICK = [path for path in TESTS if Path(path).stem.rpartition("_")[2] not in {"fuzz", "presets", "vectors"}]
"""Those for what stands outside of functions, where it is not known which tests reach it."""
OPTIONS = ["-x", "-qq", "--capture=no", "--timeout=0", "-p", "no:randomly", "-p", "no:cacheprovider"]
OPTIONS += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
PROCESSES = 2
LONGEST_SECONDS = 30
EQUIVALENT: dict[str, str] = {
    "standard.StandardScheme.match: key.key.find(signatures, presented.signed) if signatures else None -> "
    "key.key.find(signatures, presented.signed)": "spares the digest where there is nothing to compare",
    "timestamp.with_value: '-0123456789' -> '-0123456789x'": "no value of JSON begins with an x",
    "message._beside: 2 -> 3": "names stand at odd places, so that the one place more that is left out holds none",
    "token.compile_token: b'' -> b'x' (3)": "a prefix where there is no header",
    "timestamp._member: 'no object' -> 'no objectx'": "the caller says it in its own words",
    **dict.fromkeys(
        (
            "scheme.<module>: b'' -> b'x'",
            "timestamp.<module>: False -> True",
        ),
        "a default that every caller gives anew",
    ),
    **dict.fromkeys(
        (
            "keys.<module>: False -> True (2)",
            "token.<module>: False -> True (2)",
        ),
        "how keys compare; nobody compares them",
    ),
    "rfc9421.<module>: '@host' -> '@hostx'": "no such component exists; it is one that a later library may know",
    "rfc9421.<module>: 'https://unknown.invalid/' -> 'https://unknown.invalid/x'": "a URL that no signature covers",
    **dict.fromkeys(
        (
            "url.<module>: 'https' -> 'httpsx'",
            "url._other_port: 443 -> 444",
            "url._other_port: 443 -> 442",
        ),
        "https is what it is taken for anyway, and http stands in the table",
    ),
    "keys._load: raise ValueError(encoding) -> pass": "what follows raises for None too",
    **dict.fromkeys(
        (
            "parameters.Parameters.close: 1 -> 2",
            "rfc9421.Rfc9421Scheme.read: 1 -> 2",
            "rfc9421.Rfc9421Scheme.read: 1 -> 0",
        ),
        "only the first is used",
    ),
    **dict.fromkeys(
        (
            "rfc9421.Rfc9421Scheme.match: '\\n' -> '\\nx'",
            "rfc9421.Rfc9421Scheme.match: ': ' -> ': x'",
        ),
        "any writing of what is signed will do, if it is the same each time",
    ),
    **dict.fromkeys(
        (
            "signature.Signatures.put: self.selector.text.removeprefix('json:') if self.selector else '' -> self.selector.text.removeprefix('json:')",
            "signature.Signatures.put: '' -> 'x'",
            "signature.Signatures._value: self.selector.find(content) if self.selector else None -> self.selector.find(content)",
            "signature.read_signatures: selector.text if selector else '' -> selector.text",
            "signature.read_signatures: '' -> 'x'",
            "message._timestamp: raise Unfit('there is no time') -> pass",
            "message._timestamp: 'there is no time' -> 'there is no timex'",
            "timestamp.Timestamp._written: b'' -> b'x'",
            "token.TokenScheme._from_header: b'' -> b'x'",
            "token.TokenScheme._from_content: self.selector.find(content) if self.selector else None -> self.selector.find(content)",
            "verifier.SchemeVerifier.credential_header: '' -> 'x'",
        ),
        "for the type checker: it is never None there",
    ),
    **dict.fromkeys(
        (
            "signature.read_signatures: '' -> 'x' (3)",
            "token.compile_token: b'Bearer ' if place == 'bearer' else b'' -> b'Bearer '",
            "token.compile_token: b'' -> b'x'",
            "token.compile_token: b'' -> b'x' (2)",
        ),
        "of no use with this parse or place",
    ),
    "standard.StandardScheme.key: 'raw-b64' -> 'raw-b64x'": "whatever is no other encoding is this one",
    "standard.StandardScheme.sign: True -> False": "the two are of one length",
    "template.TemplateScheme._messages: '' -> 'x'": "the URL is not in the template",
    **dict.fromkeys(
        (
            "message.Template.fill: 1 -> 0",
            "message.Template.fill: not isinstance(self.parts[0], bytes) -> isinstance(self.parts[0], bytes)",
            "url.form_sorted: body.split(b'&') if body else () -> body.split(b'&')",
            "verifier.SchemeVerifier.verify: self._try_shadows(presented, now=now) if self.has_shadows else () -> self._try_shadows(presented, now=now)",
        ),
        "a short way to the same",
    ),
    "message._check_template: '' -> 'x'": "only a brace is looked for",
    "timestamp.read_timestamp: '{body}' -> '{body}x'": "no default has a time in its template",
    **dict.fromkeys(
        (
            "token.TokenScheme._from_content: 'surrogateescape' -> 'surrogateescapex'",
            "token._is: 'replace' -> 'replacex'",
        ),
        "a query that is not UTF-8 has no fields, so that no token was found in it",
    ),
    "token._is: True -> False": "an empty token is no secret",
    "url.form_sorted: b'' -> b'x'": "any character but = will do",
    "verifier.SchemeVerifier._why_not: now > secret.not_after -> now >= secret.not_after": "one that ends before it begins is a fault of the configuration",
}
"""Mutants that no test can notice, and why."""

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
}


@dataclass(frozen=True)
class Mutant:
    module: str
    function: str
    """Its qualified name; empty outside of functions."""
    line: int
    change: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.module}.{self.function or '<module>'}: {self.change}"


def mutants(path: Path) -> Iterator[Mutant]:
    tree = ast.parse(path.read_text())
    seen: dict[str, int] = defaultdict(int)
    for place, function in _places(tree):
        for number in range(len(_changed(_at(tree, place)))):
            changed = copy.deepcopy(tree)
            node = _at(changed, place)
            before = ast.unparse(node)
            replacement = _changed(node)[number]
            after = ast.unparse(replacement)
            _put(changed, place, replacement)
            change = f"{_short(before)} -> {_short(after)}"
            seen[function + change] += 1
            if seen[function + change] > 1:
                change += f" ({seen[function + change]})"
            source = ast.unparse(ast.fix_missing_locations(changed))
            yield Mutant(path.stem, function, node.lineno, change, source)  # type: ignore[attr-defined]


Place = tuple[tuple[str, int | None], ...]


def _places(tree: ast.AST) -> Iterator[tuple[Place, str]]:
    """The way to each node that may be changed, and the outermost function that it is in."""

    def walk(
        node: ast.AST, place: Place, names: tuple[str, ...], function: str
    ) -> Iterator[tuple[Place, str]]:
        if place and _changed(node):
            yield place, function
        if isinstance(node, ast.ClassDef):
            names = (*names, node.name)
        for field, value in ast.iter_fields(node):
            inside = function
            if isinstance(node, ast.FunctionDef) and field == "body" and not function:
                inside = ".".join((*names, node.name))
            if field in {"annotation", "returns", "decorator_list"}:
                continue
            for index, child in enumerate(value) if isinstance(value, list) else ((None, value),):
                if isinstance(child, ast.AST) and not _is_left(child):
                    yield from walk(child, (*place, (field, index)), names, inside)

    yield from walk(tree, (), (), "")


def _at(tree: Any, place: Place) -> Any:
    for field, index in place:
        tree = getattr(tree, field) if index is None else getattr(tree, field)[index]
    return tree


def _put(tree: Any, place: Place, node: ast.AST) -> None:
    parent = _at(tree, place[:-1])
    field, index = place[-1]
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _is_left(node: ast.AST) -> bool:
    """A docstring, or what is exported."""
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) == "__all__"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changed(node: Any) -> list[Any]:  # noqa: C901, PLR0911, PLR0912 - a table
    """What a node is changed into."""
    match node:
        case ast.Compare(ops=[op]):
            return [
                ast.copy_location(ast.Compare(node.left, [other()], node.comparators), node)
                for other in COMPARED[type(op)]
            ]
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            return [ast.copy_location(ast.BoolOp(other, node.values), node)]
        case ast.UnaryOp(op=ast.Not()):
            return [node.operand]
        case ast.BinOp() if type(node.op) in CALCULATED:
            return [ast.copy_location(ast.BinOp(node.left, CALCULATED[type(node.op)](), node.right), node)]
        case ast.Constant(value=value):
            return [ast.copy_location(ast.Constant(other), node) for other in _other_values(value)]
        case ast.IfExp():
            return [node.body, node.orelse]
        case ast.If(test=test) if not isinstance(test, ast.Compare | ast.UnaryOp):
            negated = ast.UnaryOp(ast.Not(), test)
            return [ast.copy_location(ast.If(negated, node.body, node.orelse), node)]
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            return [ast.copy_location(ast.Return(ast.Constant(None)), node)]
        case ast.Raise() | ast.Expr():
            return [ast.copy_location(ast.Pass(), node)]
        case ast.Call(func=ast.Attribute(attr="lower" | "upper" | "strip" | "rstrip" | "removeprefix")):
            return [node.func.value]
        case ast.Call(func=ast.Attribute(attr="fullmatch")):
            func = ast.Attribute(node.func.value, "match", ast.Load())
            return [ast.copy_location(ast.Call(func, node.args, node.keywords), node)]
        case ast.Subscript(slice=ast.Slice()):
            return [node.value]
        case _:
            return []


def _other_values(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1] if value else [1]  # of a list of one, the last is the first
    if isinstance(value, str):
        return [value + "x"]
    if isinstance(value, bytes):
        return [value + b"x"]
    return []


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:60]} ... {text[-35:]}"


# Running them.


class Collected:
    """A pytest plugin: in place of the tests, the mutants, each with the tests that reach it."""

    def __init__(self, every: Sequence[Mutant]) -> None:
        self._every = every
        self._measure = coverage.Coverage(data_file=None, config_file=False, include=[f"{FOLDER}/*"])
        self._items: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}
        self.survivors: list[Mutant] | None = None

    def pytest_runtestloop(self, session: Any) -> bool:
        self._run_all(session.items)
        reaching = {mutant: self._reaching(mutant) for mutant in self._every}
        self.survivors = survivors(
            self._every, lambda mutant: _judge(mutant, [self._items[name] for name in reaching[mutant]])
        )
        return True

    def _run_all(self, items: Sequence[Any]) -> None:
        self._measure.start()
        for item in items:
            self._items[item.nodeid] = item
            self._measure.switch_context(item.nodeid)
            start = time.perf_counter()
            if not _passes(item):
                raise SystemExit(f"{item.nodeid} fails without any mutant")
            self._seconds[item.nodeid] = time.perf_counter() - start
        self._measure.stop()

    def _reaching(self, mutant: Mutant) -> list[str]:
        path = str((FOLDER / f"{mutant.module}.py").resolve())
        contexts = self._measure.get_data().contexts_by_lineno(path)
        start, end = _extent(import_module(_import_name(mutant)), mutant.function)
        own = {name for name in contexts.get(mutant.line, ()) if name}
        if not own:  # a line within an expression: any test that reaches the function
            own = {name for line in range(start, end) for name in contexts.get(line, ()) if name}
        return sorted(own, key=self._seconds.__getitem__)


def _extent(module: Any, function: str) -> tuple[int, int]:
    code = _function(module, function).__code__
    lines = [line for _, _, line in code.co_lines() if line]
    return min(lines), max(lines) + 1


def _function(module: Any, name: str) -> FunctionType:
    found = module
    for part in name.split("."):
        found = vars(found)[part]
    found = getattr(found, "fget", found)
    assert isinstance(found, FunctionType), name
    return found


def _judge(mutant: Mutant, items: Sequence[Any]) -> bool:
    """In a child: whether a test fails."""
    module = import_module(_import_name(mutant))
    function = _function(module, mutant.function)
    function.__code__ = _code(compile(mutant.source, function.__code__.co_filename, "exec"), mutant.function)
    return not all(_passes(item) for item in items)


def _code(code: CodeType, name: str) -> CodeType:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            if inner.co_qualname == name:
                return inner
            if name.startswith(f"{inner.co_qualname}."):
                return _code(inner, name)
    raise LookupError(name)


def _passes(item: Any) -> bool:
    return all(report.passed for report in runtestprotocol(item, nextitem=None, log=False))


def survivors(every: Sequence[Mutant], is_killed: Callable[[Mutant], bool]) -> list[Mutant]:
    """Each in a child of its own, some at once."""
    waiting, running, left = list(every), dict[int, Mutant](), list[Mutant]()
    while waiting or running:
        while waiting and len(running) < PROCESSES:
            mutant = waiting.pop(0)
            child = os.fork()
            if not child:
                _be_child(mutant, is_killed)
            running[child] = mutant
        child, status = os.wait()
        mutant = running.pop(child)
        if status == 0:
            left.append(mutant)
            print("survived:", mutant.name, flush=True)  # noqa: T201 - a command's report
    return left


def _be_child(mutant: Mutant, is_killed: Callable[[Mutant], bool]) -> None:
    signal.alarm(LONGEST_SECONDS)  # which ends it, and counts as noticed
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    killed = True
    try:
        killed = is_killed(mutant)
    finally:
        os._exit(int(killed))


def _import_name(mutant: Mutant) -> str:
    return "gateway.verify" if mutant.module == "__init__" else f"gateway.verify.{mutant.module}"


class Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.get_filename(fullname), "exec")


class Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._name = _import_name(mutant)
        self._path = str((FOLDER / f"{mutant.module}.py").resolve())
        self._source = mutant.source

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002 - the protocol's
        if name != self._name:
            return None
        loader = Loader(name, self._path, self._source)
        return spec_from_loader(name, loader, is_package=self._path.endswith("__init__.py"))


def _judge_import(mutant: Mutant) -> bool:
    """In a child that has not imported what is tested."""
    sys.meta_path.insert(0, Finder(mutant))
    return pytest.main([*OPTIONS, *QUICK]) != 0


def main(names: Sequence[str]) -> int:
    settings.register_profile("mutants", database=None, derandomize=True, deadline=None)
    settings.load_profile("mutants")
    start = time.monotonic()
    every = [
        mutant
        for path in sorted(set(FOLDER.glob("*.py")) - {FOLDER / "explain.py"})  # which judges nothing
        if path.stem in names or (not names and path.stem != "preset")
        for mutant in mutants(path)
    ]
    outside = [mutant for mutant in every if not mutant.function]
    _import_what_costs()
    left = survivors(outside, _judge_import)
    plugin = Collected([mutant for mutant in every if mutant.function])
    pytest.main([*OPTIONS, *TESTS], plugins=[plugin])
    if plugin.survivors is None:
        return 2
    left += plugin.survivors
    unknown = [mutant for mutant in left if mutant.name not in EQUIVALENT]
    stale = set(EQUIVALENT) - {mutant.name for mutant in left} if not names else set()
    for name in sorted(stale):
        print("is noticed, and stands in EQUIVALENT:", name)  # noqa: T201 - a command's report
    print(  # noqa: T201 - a command's report
        f"{len(every)} mutants in {time.monotonic() - start:.0f} s: {len(every) - len(left)} noticed, "
        f"{len(left) - len(unknown)} equivalent, {len(unknown)} unnoticed"
    )
    return int(bool(unknown or stale))


def _import_what_costs() -> None:
    """So that children do not: everything that is not under test."""
    for name in (
        "cryptography.hazmat.primitives.asymmetric.rsa",
        "http_message_signatures",
        "httpx",
        "jmespath",
        "jwt",
    ):
        import_module(name)
    for name in (
        "starlette.applications",
        "standardwebhooks",
        "prometheus_client",
        "uvicorn",
        "hypothesis.strategies",
    ):
        import_module(name)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
