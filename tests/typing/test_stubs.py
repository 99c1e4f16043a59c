"""The extensions' stubs against the extensions: every public name stands in both, with the same parameters.

mypy's own stubtest is of no use here: it looks for a constructor's parameters in __init__, and Cython's have none to show.
"""

import ast
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import seatrial._native

FOLDER = Path(seatrial._native.__file__).parent
MODULES = sorted(p.stem for p in FOLDER.glob("*.pyi"))
# What every class has, said in a stub where Python's grammar asks for it; and what only Python 3.12 shows of a buffer.
DUNDERS = ("__init__", "__buffer__")


def stub(name):
    return ast.parse((FOLDER / f"{name}.pyi").read_text("utf-8"))


def declared(body):
    """{name: its node} of what a stub's module or class declares; an alias for a type and a protocol are the stub's own."""
    nodes = {n.name: n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef) and not _is_protocol(n)}
    return nodes | {n.target.id: n for n in body if isinstance(n, ast.AnnAssign)}


def _is_protocol(node):
    return isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == "Protocol" for b in node.bases)


def public(module):
    """What Python code may use of an extension: its own, and no module or class that it imports."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
        and getattr(value, "__module__", module.__name__) == module.__name__
    }  # fmt: skip


def stub_parameters(node):
    """[(name, kind, whether it has a default)], as parameters() of what is there."""
    a = node.args
    ordinary = [*a.posonlyargs, *a.args]
    first_default = len(ordinary) - len(a.defaults)
    found = [(p.arg, "POSITIONAL_OR_KEYWORD", i >= first_default) for i, p in enumerate(ordinary)]
    found += [(p.arg, "KEYWORD_ONLY", d is not None) for p, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    return found


def parameters(function):
    return [(p.name, p.kind.name, p.default is not p.empty) for p in inspect.signature(function).parameters.values()]


def functions():
    for module in MODULES:
        body = declared(stub(module).body)
        for name, node in body.items():
            if isinstance(node, ast.FunctionDef):
                yield f"{module}.{name}", node
            elif isinstance(node, ast.ClassDef):
                for method, inner in declared(node.body).items():
                    # A slot's signature is Python's, a property has none, and a constructor's Cython does not keep.
                    if isinstance(inner, ast.FunctionDef) and not method.startswith("__") and not is_property(inner):
                        yield f"{module}.{name}.{method}", inner


def is_property(node):
    return any(isinstance(d, ast.Name) and d.id == "property" for d in getattr(node, "decorator_list", []))


FUNCTIONS = dict(functions())


def test_every_extension_has_a_stub():
    sources = Path(__file__).parents[2] / "src" / "seatrial" / "_native"
    assert MODULES == sorted(p.stem for p in sources.glob("*.pyx")) != []


@pytest.mark.parametrize("name", MODULES)
def test_names_of_the_module(name):
    there = public(import_module(f"seatrial._native.{name}"))
    assert set(declared(stub(name).body)) == set(there)


@pytest.mark.parametrize("name", MODULES)
def test_names_of_its_classes(name):
    module = import_module(f"seatrial._native.{name}")
    for class_name, node in declared(stub(name).body).items():
        if isinstance(node, ast.ClassDef):
            kind = getattr(module, class_name)
            # What a class does anew that its base declares needs no second word.
            said_before = {n for base in kind.__mro__[1:] for n in vars(base)}
            own = {n: v for n, v in vars(kind).items() if n not in said_before or n.startswith("__")}
            said = set(declared(node.body)) - set(DUNDERS)
            assert {n for n in said if n in own} == said, class_name
            assert {n for n in own if not n.startswith("_")} == {n for n in said if not n.startswith("__")}, class_name
            # A field of an extension's class is one too; of a class in Python it is a plain attribute.
            properties = {
                n
                for n, inner in declared(node.body).items()
                if is_property(inner) or (isinstance(inner, ast.AnnAssign) and inspect.isgetsetdescriptor(own[n]))
            }
            assert properties == {n for n in own if inspect.isgetsetdescriptor(own[n]) and not n.startswith("__")}, (
                class_name
            )
            bases = [ast.unparse(b) for b in node.bases]
            assert bases == [b.__name__ for b in kind.__bases__ if b is not object], class_name


@pytest.mark.parametrize("path", FUNCTIONS)
def test_parameters(path):
    module, *names = path.split(".")
    there = import_module(f"seatrial._native.{module}")
    for name in names:
        there = getattr(there, name)
    assert parameters(there) == stub_parameters(FUNCTIONS[path])
