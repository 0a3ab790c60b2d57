"""The arguments of tools/bench: those that all suites have in common, and those of one."""

import argparse
import itertools
import json
import pathlib
import sys
from typing import NoReturn

import rig
from comparison import Comparison, Repeats

COUNT_MAX = 1000
# Suites that start none of the programs that are chosen by option.
NO_PROGRAMS = ("micro",)


class Parser(argparse.ArgumentParser):
    """A mistake takes one line, which says what there is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def count(text: str) -> int:
    """A number of rounds, seconds, connections."""
    return whole(text, COUNT_MAX)


def whole(text: str, most: int, least: int = 1) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least} to {most}")
    return int(text)


def new_file(text: str) -> pathlib.Path:
    """Looked at before the measuring, which may take an hour. One that is there is added to."""
    path = pathlib.Path(text).absolute()
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' is no file in a folder that exists")
    try:
        known = not path.exists() or isinstance(json.loads(path.read_text()), dict)
    except (OSError, ValueError):
        known = False
    if not known:
        raise argparse.ArgumentTypeError(f"'{text}' is there and has no results in it")
    return path


def one_of(text: str, known: tuple[str, ...]) -> list[str]:
    """Names with commas between them, in the order of `known`."""
    wanted = text.split(",")
    for name in wanted:
        if name not in known:
            raise argparse.ArgumentTypeError(f"no '{name}'; there are: {', '.join(known)}")
    return [name for name in known if name in wanted]


def make_parser(comparisons: dict[str, Comparison], about: str,
                alone: str | None) -> argparse.ArgumentParser:
    """With `alone` for one suite, whose own arguments come on top."""
    parser = Parser(prog=f"tools/bench {alone}" if alone else "tools/bench",
                    description=f"{comparisons[alone].about}." if alone else about,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE",
                        help=argparse.SUPPRESS if alone else f"of {', '.join(comparisons)}")
    if not alone:
        parser.add_argument("--full", action="store_true", help="everything but the targets")
        parser.add_argument("--list", action="store_true", help="show the suites and end")
    rig.add_programs(parser)
    defaults = {name: getattr(comparisons[alone], name) if alone else "the suite's own"
                for name in ("rounds", "seconds")}
    parser.add_argument("--rounds", type=count, help=f"default: {defaults['rounds']}")
    parser.add_argument("--seconds", type=count,
                        help=f"of each measurement; default: {defaults['seconds']}")
    if not alone or comparisons[alone].proxies:
        known = f": {', '.join(comparisons[alone].proxies)}" if alone else ""
        parser.add_argument("--only", metavar="NAMES",
                            help=f"proxies to compare, with commas between them{known}")
    parser.add_argument("--json", type=new_file, metavar="FILE",
                        help="for every single measurement, published or not")
    writing = parser.add_mutually_exclusive_group()
    writing.add_argument("--dry-run", action="store_true", help="leave the pages alone")
    writing.add_argument("--write", action="store_true",
                         help="publish what is not fit for it, too")
    if alone and comparisons[alone].add_arguments:
        comparisons[alone].add_arguments(parser.add_argument_group("its own"))
    return parser


def parse(comparisons: dict[str, Comparison], about: str, default: str,
          arguments: list[str]) -> list[tuple[Comparison, argparse.Namespace]]:
    """The suites to run, each with its options."""
    leading = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments))
    alone = leading[0] if len(leading) == 1 and leading[0] in comparisons else None
    parser = make_parser(comparisons, about, alone)
    given = parser.parse_intermixed_args(arguments)
    if getattr(given, "list", False):
        for name, each in comparisons.items():
            print(f"{name:10} {each.about}")
        sys.exit(0)
    for name in given.suites:
        if name not in comparisons:
            parser.error(f"no suite '{name}'; there are: {', '.join(comparisons)}")
    only = getattr(given, "only", None)
    if getattr(given, "full", False):
        given.suites = full(comparisons, default, only)
    given.suites = list(dict.fromkeys(given.suites)) or [default]
    chosen = [comparisons[name] for name in given.suites]
    check_only(parser, chosen, only)
    if not getattr(given, "full", False):
        check_programs(parser, chosen, given)
    return [(comparison, options_of(comparison, comparisons, given, arguments))
            for comparison in chosen]


def full(comparisons: dict[str, Comparison], default: str, only: str | None) -> list[str]:
    """With --only those that have these proxies; it says which ones have not."""
    every = [name for name in comparisons if name != default]
    wanted = set(only.split(",")) if only is not None else set()
    able = [name for name in every if wanted <= set(comparisons[name].proxies)]
    if able and len(able) < len(every):
        print(f"tools/bench: --only {only} leaves out "
              f"{', '.join(name for name in every if name not in able)}", file=sys.stderr)
    return able or every  # Of none of them check_only() says why.


def programs_of(comparison: Comparison) -> tuple[str, ...]:
    """Whose version matters. A suite without proxies to choose from compares all there are."""
    return ("weir",) if comparison.name in NO_PROGRAMS else tuple(rig.default_programs())


def check_programs(parser: argparse.ArgumentParser, chosen: list[Comparison],
                   given: argparse.Namespace) -> None:
    for comparison in chosen:
        for name in rig.default_programs() if comparison.name in NO_PROGRAMS else ():
            if getattr(given, name):
                parser.error(f"argument --{name}: means nothing to {comparison.name}, which "
                             "starts none of the proxies")


def check_only(parser: argparse.ArgumentParser, chosen: list[Comparison],
               only: str | None) -> None:
    """Every name means a proxy of every suite: nobody is dropped in silence."""
    for comparison in chosen if only is not None else ():
        if not comparison.proxies:
            parser.error(f"argument --only: {comparison.name} always compares all it has")
        for name in only.split(","):
            if name not in comparison.proxies:
                parser.error(f"argument --only: {comparison.name} has no '{name}'; there are: "
                             f"{', '.join(comparison.proxies)}")


def options_of(comparison: Comparison, comparisons: dict[str, Comparison],
               given: argparse.Namespace, arguments: list[str]) -> argparse.Namespace:
    """What the suite sees: what was given, and its own defaults."""
    usual = vars(make_parser(comparisons, "", comparison.name).parse_args([]))
    options = argparse.Namespace(**{**usual, **vars(given)})
    options.rounds = given.rounds or comparison.rounds
    options.seconds = given.seconds or comparison.seconds
    for name, path in rig.default_programs().items():
        if comparison.name in NO_PROGRAMS or not getattr(given, name):
            setattr(options, name, path)
    only = getattr(given, "only", None)
    options.names = [name for name in comparison.proxies
                     if only is None or name in only.split(",")]
    common = vars(make_parser(comparisons, "", None).parse_args([]))
    options.own_changed = [f"--{name.replace('_', '-')}" for name, value in usual.items()
                           if name not in common and getattr(options, name) != value]
    options.command = " ".join(["tools/bench", *arguments])
    options.repeats = Repeats()
    return options
