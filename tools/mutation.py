"""Mutation testing of the core: change one thing in the code, and see whether a test notices.

    python tools/mutation.py --share 0.3 --out results/mutation.json

For each module below, small changes (*mutants*) are made to its syntax tree: a comparison, an arithmetic or a boolean
operator is exchanged, a number is made one larger, a flag is flipped, a condition is negated, a statement that is a
call is left out, a returned value becomes None. The module's tests then run against each mutant, until one fails. A
mutant that no test notices survives: either a test is missing, or the change makes no difference.

Importing torch takes seconds, so it is imported once. Each mutant has a forked process, in which an import hook puts
the changed module in the place of the real one before the tests import it. (Shapes are checked in every other module
of the library, not in that one.) A mutant may use five times the processor
time of the unchanged module's tests and ten seconds more; then it counts as noticed, as an endless loop is.

What cannot matter is not changed: annotations, docstrings, strings, decorators, assertions, error messages (whole
`raise` statements) and lines that end in `# pragma: no mutate`. With `--share` a part of the mutants is drawn by
`--seed`.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import json
import os
import random
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
SOURCE, TESTS = ROOT / "src/deepinfomax", ROOT / "tests"

PINNED = "objectives/test_pinned_settings.py"  # settings and networks of all objectives

#: module -> its tests
MODULES: dict[str, tuple[str, ...]] = {
    "information/bounds": ("information/test_bounds.py", "information/test_pairs.py"),
    "information/pairs": ("information/test_pairs.py", "objectives/test_local.py", "objectives/test_cpc.py"),
    "information/critics": ("information/test_critics.py", "objectives/test_local.py", "objectives/test_global.py"),
    "information/readouts": ("information/test_readouts.py", "information/test_critic_reading.py"),
    "information/cautions": ("information/test_cautions.py", "information/test_neighbour_estimate.py"),
    "information/critic_training": ("information/test_critic_training.py", "evaluation/test_mine.py"),
    "objectives/game": ("objectives/test_game.py", "objectives/test_views.py"),
    "objectives/pair_bound": ("objectives/test_local.py", "objectives/test_global.py", "objectives/test_views.py"),
    "objectives/local": ("objectives/test_local.py", "objectives/test_views.py", "test_recipes.py", PINNED),
    "objectives/global_": ("objectives/test_global.py", "test_recipes.py", PINNED),
    "encoders/whitening": ("encoders/test_whitening.py",),
    "objectives/prior": ("objectives/test_prior.py", PINNED),
    "objectives/players": ("objectives/test_players.py", "objectives/test_prior.py"),
    "objectives/coordinates": ("objectives/test_coordinates.py", "test_recipes.py", PINNED),
    "objectives/occlusion": ("objectives/test_occlusion.py", PINNED),
    "objectives/nat": ("objectives/test_nat.py", PINNED),
    "objectives/supervised": ("objectives/test_supervised.py", PINNED),
    "objectives/autoencoders": ("objectives/test_autoencoders.py", "test_recipes.py", PINNED),
    "objectives/bigan": ("objectives/test_bigan.py", "test_recipes.py", PINNED),
    "objectives/cpc": ("objectives/test_cpc.py", "test_recipes.py", PINNED),
    "objectives/slices": ("objectives/test_slices.py",),
    "objectives/joint_embedding": ("objectives/test_joint_embedding.py",),
    "training/schedule": ("training/test_schedule.py",),
    "training/step": ("training/test_step.py",),
    "training/guards": ("training/test_guards.py",),
    "fitting": ("test_fitting.py", "evaluation/test_probes.py"),
    "evaluation/mlp": ("evaluation/test_probes.py",),
    "evaluation/linear": ("evaluation/test_probes.py",),
    "evaluation/knn": ("evaluation/test_knn.py", "evaluation/test_probes.py"),
    "evaluation/convex": ("evaluation/test_probes.py", "evaluation/test_attributes.py", "evaluation/test_svm.py"),
    "evaluation/svm": ("evaluation/test_svm.py", "evaluation/test_probes.py"),
}

#: pytest's exit codes that say nothing of a mutant: an error inside pytest, and no test collected
BROKEN, EMPTY = 3, 5
OUT_OF_TIME = -1

COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}


@dataclass(frozen=True)
class Mutant:
    """One change of a module."""

    line: int
    before: str
    after: str


def sites(tree: ast.Module, source: str) -> Iterator[tuple[ast.AST, Callable[[ast.AST], ast.AST]]]:
    """Each node that can be changed, with the change; a node may come more than once."""
    lines = source.splitlines()
    left_alone = {id(node) for kept in _left_alone(tree) for node in ast.walk(kept)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", None)
        if id(node) in left_alone or line is None or lines[line - 1].endswith("# pragma: no mutate"):
            continue
        yield from ((node, change) for change in _changes(node))


def _left_alone(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
            yield node
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from node.decorator_list
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.returns
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node


def _changes(node: ast.AST) -> Iterator[Callable[[ast.AST], ast.AST]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARE:
        yield _set("ops", [COMPARE[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield _set("op", ARITHMETIC[type(node.op)]())
    if isinstance(node, ast.BoolOp):
        yield _set("op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield lambda n: n.operand  # type: ignore[attr-defined]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _set("value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield _set("value", node.value + 1)
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield lambda n: _set("test", ast.UnaryOp(ast.Not(), n.test))(n)  # type: ignore[attr-defined]
    if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield _set("value", ast.Constant(None))
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and "super()" not in ast.unparse(node):
        yield lambda n: ast.Pass()


def _set(field: str, value: object) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        setattr(node, field, value)
        return node

    return change


def mutants(source: str) -> Iterator[tuple[Mutant, ast.Module]]:
    """Every mutant of a module, with its syntax tree."""
    tree = ast.parse(source)
    for number in range(sum(1 for _ in sites(tree, source))):
        changed = copy.deepcopy(tree)
        node, change = next(site for i, site in enumerate(sites(changed, source)) if i == number)
        before = ast.unparse(node).splitlines()[0]
        new = ast.copy_location(change(copy.deepcopy(node)), node)
        after = ast.unparse(new).splitlines()[0]
        _Replace(node, new).visit(changed)
        yield Mutant(node.lineno, before[:100], after[:100]), ast.fix_missing_locations(changed)  # type: ignore[attr-defined]


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else super().visit(node)


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """An import hook that gives one module other code."""

    def __init__(self, name: str, file: Path, tree: ast.Module) -> None:
        self.name, self.file, self.tree = name, file, tree

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.file, loader=self) if name == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.tree, str(self.file), "exec"), module.__dict__)


class InPlace:
    """A plugin of pytest that puts the hook in front of the one in tests/conftest.py, by which shapes are checked."""

    def __init__(self, hook: Changed) -> None:
        self.hook = hook

    def pytest_sessionstart(self) -> None:
        assert self.hook.name not in sys.modules
        sys.meta_path.insert(0, self.hook)


def run_tests(module: str, tree: ast.Module | None, seconds: int | None) -> tuple[int, float]:
    """The tests of a module in a forked process, against a mutant or the module itself (None).

    Returns:
        pytest's exit code (OUT_OF_TIME: stopped by the limit of processor time), and the processor time in seconds.
    """
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        code = BROKEN
        try:
            if seconds is not None:
                resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            plugins = []
            if tree is not None:
                name = f"deepinfomax.{module.replace('/', '.')}"
                plugins = [InPlace(Changed(name, SOURCE / f"{module}.py", tree))]
            os.chdir(ROOT)
            files = [str(TESTS / file) for file in MODULES[module]]
            code = int(pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", *files], plugins))
        finally:
            os._exit(code)
    _, status, usage = os.wait4(child, 0)
    return (OUT_OF_TIME if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), usage.ru_utime + usage.ru_stime


def examine(module: str, share: float, seed: int) -> dict[str, object]:
    """Mutants of a module, how many its tests notice, and those that survive."""
    source = (SOURCE / f"{module}.py").read_text(encoding="utf-8")
    code, seconds = run_tests(module, None, None)
    if code != 0:
        raise SystemExit(f"the tests of {module} fail without any change: {', '.join(MODULES[module])}")
    every = list(mutants(source))
    rng = random.Random(f"{seed} {module}")
    drawn = sorted(rng.sample(range(len(every)), round(share * len(every)))) if share < 1 else range(len(every))
    survivors, out_of_time = [], 0
    for number in drawn:
        mutant, tree = every[number]
        code, _ = run_tests(module, tree, int(5 * seconds) + 10)
        if code in (BROKEN, EMPTY):
            raise SystemExit(f"{module}:{mutant.line}: pytest ended with code {code} on {mutant}")
        if code == 0:
            survivors.append(mutant)
        out_of_time += code == OUT_OF_TIME
    killed = len(drawn) - len(survivors)
    print(f"{module}: {killed} of {len(drawn)} noticed (of {len(every)} possible)", flush=True)
    return {
        "possible": len(every),
        "mutants": len(drawn),
        "killed": killed,
        "of these out of time": out_of_time,
        "share_killed": round(killed / len(drawn), 3) if drawn else None,
        "survivors": [asdict(mutant) for mutant in survivors],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--module", action="append", choices=MODULES, help="these only; may be repeated")
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a JSON file")
    options = parser.parse_args()
    chosen = options.module or list(MODULES)
    # A thread for each forked process that is waited for; each thread forks from this one process.
    with ThreadPoolExecutor(options.processes) as pool:
        results = dict(zip(chosen, pool.map(lambda m: examine(m, options.share, options.seed), chosen), strict=True))
    total = sum(int(str(r["mutants"])) for r in results.values())
    killed = sum(int(str(r["killed"])) for r in results.values())
    print(f"{killed} of {total} noticed: {killed / total:.1%}")
    if options.out is not None:
        summary = {
            "schema": 1,
            "title": "Mutants of the core that a test notices",
            "command": f"python tools/mutation.py --share {options.share:g} --seed {options.seed}"
            + "".join(f" --module {module}" for module in options.module or ()),
            "mutants": total,
            "killed": killed,
            "share_killed": round(killed / total, 4),
            "modules": results,
        }
        options.out.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Imported once, here, and shared by all forked processes; nothing of deepinfomax may be among it.
    import accelerate  # noqa: F401
    import datasets  # noqa: F401
    import pydantic  # noqa: F401
    import pytest
    import sklearn.decomposition
    import sklearn.feature_selection
    import sklearn.neighbors
    import sklearn.preprocessing  # noqa: F401
    import torch

    torch.set_num_threads(1)
    assert not any(name.startswith("deepinfomax") for name in sys.modules)
    main()
