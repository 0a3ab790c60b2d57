#!/usr/bin/env python3
"""Checks the rules of the code that a compiler does not: layers, sizes, banned names.

  tools/tidy.py              check the tree; exit 1 when a rule is broken
  tools/tidy.py --self-test  feed every rule a snippet that breaks it

The rules work on text with comments and literals blanked (tools/cpp_text.py), which is enough for
code formatted by clang-format. A rule that is wrong about a line is a bug here, with a snippet for
tools/tidy_cases.py, and not a reason to bend the line.
"""

import pathlib
import re
import sys
from typing import Callable, Iterator, NamedTuple

import cpp_text
import tidy_cases

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A file includes only its own folder or folders with a lower number.
LAYERS = {
    "base": 0,
    "http": 1, "wire": 1, "balance": 1, "health": 1, "limit": 1, "config": 1, "os": 1,
    "loop": 2, "net": 3, "upstream": 4, "proxy": 5, "control": 6,
}  # fmt: skip
MAIN_LAYER = 7

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100

CODE_FOLDERS = ("src", "sim", "tests", "fuzz", "bench")
CODE_SUFFIXES = {".h", ".cpp"}
SCRIPT_FOLDERS = ("tools", "tests", "bench", ".ci", "packaging")
# Only the product and its simulated twin promise to reach the system through os.h.
PURE_FOLDERS = ("src", "sim")
SHARED_PTR_FREE = ("loop", "net", "upstream", "proxy")


class Finding(NamedTuple):
    path: str
    line: int
    rule: str
    message: str


class Source:
    """One file: its lines, and for C++ the same lines without comments and literals."""

    def __init__(self, path: str, text: str):
        self.path = path
        self.parts = tuple(path.split("/"))
        self.lines = text.split("\n")
        if self.lines and self.lines[-1] == "":
            self.lines.pop()
        self.is_cpp = pathlib.PurePath(path).suffix in CODE_SUFFIXES
        if self.is_cpp:
            code = cpp_text.blank_out(text)
            self.code_lines = code.split("\n")
            self.scopes, self.statements = cpp_text.scan_scopes(code)

    def in_folder(self, *names: str) -> bool:
        return self.parts[0] in names

    @property
    def layer(self) -> str:
        return self.parts[1] if self.parts[0] == "src" and len(self.parts) > 2 else ""

    @property
    def must_be_pure(self) -> bool:
        return self.is_cpp and self.in_folder(*PURE_FOLDERS) and self.layer != "os" \
            and not self.parts[-1].startswith("os_sim")


# --- Reading C++ --------------------------------------------------------------------------------

# --- The rules ----------------------------------------------------------------------------------

INCLUDE_LINE = re.compile(r'^\s*#\s*include\s*(?:"([^"]*)"|<([^>]*)>)')

Rule = Callable[[Source], Iterator[Finding]]
RULES: list[Rule] = []


def rule(function: Rule) -> Rule:
    RULES.append(function)
    return function


@rule
def layers(source: Source) -> Iterator[Finding]:
    if not source.is_cpp or not source.in_folder("src"):
        return
    own = LAYERS.get(source.layer, MAIN_LAYER)
    if source.layer and source.layer not in LAYERS:
        yield Finding(source.path, 1, "layers",
                      f"folder src/{source.layer} has no number; add it to LAYERS in tools/tidy.py")
        return
    for number, line in enumerate(source.lines, 1):
        match = INCLUDE_LINE.match(line)
        if not match or match.group(1) is None:
            continue
        folder = match.group(1).split("/")[0] if "/" in match.group(1) else ""
        if folder not in LAYERS:
            yield Finding(source.path, number, "layers",
                          f'"{match.group(1)}": write our headers as "folder/file.h", '
                          "others in angle brackets")
        elif folder != source.layer and LAYERS[folder] >= own:
            yield Finding(source.path, number, "layers",
                          f"layer {own} ({source.layer or 'main'}) must not know layer "
                          f"{LAYERS[folder]} ({folder}); move the shared part down or pass it in")


@rule
def file_size(source: Source) -> Iterator[Finding]:
    if len(source.lines) > FILE_LINES_MAX and "tidy: long because" not in "\n".join(source.lines):
        yield Finding(source.path, FILE_LINES_MAX + 1, "file-size",
                      f"{len(source.lines)} lines; split the file, or say 'tidy: long because ...' "
                      "in a comment")


@rule
def function_size(source: Source) -> Iterator[Finding]:
    if not source.is_cpp:
        return
    for scope in source.scopes:
        length = scope.last_line - scope.first_line + 1
        around = source.lines[max(0, scope.first_line - 4) : scope.last_line]
        if length > FUNCTION_LINES_MAX and not any("tidy: table" in line for line in around):
            name = re.search(r"([\w:~]+)\s*\(", scope.name)
            yield Finding(source.path, scope.first_line, "function-size",
                          f"{name.group(1) if name else 'function'} has {length} lines, the limit "
                          f"is {FUNCTION_LINES_MAX}; give its steps names, or mark a flat table "
                          "with 'tidy: table'")


@rule
def columns(source: Source) -> Iterator[Finding]:
    if source.path.endswith(".md"):
        return
    for number, line in enumerate(source.lines, 1):
        if len(line) > COLUMNS_MAX:
            yield Finding(source.path, number, "columns",
                          f"{len(line)} columns, the limit is {COLUMNS_MAX}; break the line")


@rule
def trailing_space(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.lines, 1):
        if line != line.rstrip():
            yield Finding(source.path, number, "trailing-space", "remove the space at the end")


@rule
def file_head(source: Source) -> Iterator[Finding]:
    lines = [line for line in source.lines if not line.startswith("#!")]
    if source.path.endswith(".md") or source.parts[-1] == "__init__.py":
        return
    starts = ("//", "/*") if source.is_cpp else ('"""', "#", 'r"""')
    if lines and source.path.endswith(".cpp"):
        # The comment of a header also serves the file that implements it and the one that tests it.
        header = re.match(r'#include "([\w/]+)\.h"', lines[0])
        place = re.sub(r"^(?:src|tests/unit)/", "", source.path)
        if header and place.startswith(header.group(1)):
            return
    if not lines or not lines[0].startswith(starts):
        yield Finding(source.path, 1, "file-head",
                      "begin with a comment: what this is, who owns it, what always holds")


@rule
def pragma_once(source: Source) -> Iterator[Finding]:
    if source.path.endswith(".h") and "#pragma once" not in source.lines:
        yield Finding(source.path, 1, "pragma-once", "add '#pragma once' after the head comment")


@rule
def unfinished(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.lines, 1):
        match = re.search(r"\b(TO[D]O|FIX[M]E|XX[X])\b", line)
        if match:
            yield Finding(source.path, number, "unfinished",
                          f"{match.group(1)}: finish it, or write a decision record instead")


@rule
def foreign_words(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.lines, 1):
        if re.search(r"(?<![\w.~$})-])/wor[k]/|\.\./share[d]/", line):
            yield Finding(source.path, number, "foreign-words",
                          "a path of one machine; the repository must make sense on its own")


SHARED_PTR = re.compile(r"\b(?:shared_ptr|make_shared|allocate_shared|enable_shared_from_this)\b")


@rule
def shared_pointer(source: Source) -> Iterator[Finding]:
    if source.is_cpp and source.layer in SHARED_PTR_FREE:
        yield from find_in_code(source, "shared-ptr", SHARED_PTR,
                                "the data path has owners, not counts; use a handle or a reference")


SYSTEM_HEADERS = re.compile(
    r"^(?:sys/.*|linux/.*|netinet/.*|net/.*|asm/.*"
    r"|(?:unistd|fcntl|netdb|poll|signal|pthread|sched|time|errno|dirent|syslog|spawn)\.h"
    r"|csignal|ctime|cerrno|thread|fstream|random)$"
)
# Names that mean the system wherever they stand, except behind os:: and as a member.
SYSTEM_NAMES = re.compile(
    r"(?<!os::)(?<!\.)(?<!->)\b(epoll_(?:create1?|ctl|p?wait2?)|accept4|recvfrom|recvm?msg|sendto"
    r"|sendm?msg|[gs]etsockopt|getsockname|getpeername|getaddrinfo|gethostbyname|eventfd"
    r"|timerfd_\w+|signalfd|pipe2|fcntl|ioctl|fopen|freopen|fdopen|popen|clock_gettime"
    r"|gettimeofday|nanosleep|usleep|sigaction|sigprocmask|pthread_\w+|sched_\w+|getenv|setenv"
    r"|secure_getenv|prctl|[gs]etrlimit|mmap|munmap|rand|srand|random_device|this_thread|errno"
    r"|(?:steady|system|high_resolution)_clock)\b"
)
# Names that a function of ours may have too: only calls that cannot be ours are meant.
SYSTEM_CALLS = re.compile(
    r"(?<![\w>\])])\s*::(read|write|open|openat|close|send|recv|socket|connect|bind|listen|accept"
    r"|splice|shutdown|pipe|poll|select|kill|fork|exec\w*|time|sleep|signal|unlink|dup2?|getpid"
    r"|getrandom|exit)\s*\("
    r"|(?:^|[=(,!?:;&|{}]|\breturn\b)\s*(?<!:)(recv|send|socket|open|splice|signal)\s*\((?!\))"
)
# Holding the std::jthread that os::start_thread returned is fine, making one is not.
STD_THREAD = re.compile(r"\bstd::thread\b|\bstd::jthread(?:\s+\w+)?\s*[({]")
THREAD_LOCAL = re.compile(r"\bthread_local\b")
VIA_OS = "only src/os talks to the system; add or use a function of os/os.h"


def find_in_code(source: Source, name: str, pattern: re.Pattern, message: str) -> Iterator[Finding]:
    for number, line in enumerate(source.code_lines, 1):
        match = pattern.search(line)
        if match:
            word = next((group for group in match.groups() if group), match.group(0)).strip()
            yield Finding(source.path, number, name, f"{word}: {message}")


@rule
def system_calls(source: Source) -> Iterator[Finding]:
    if not source.must_be_pure:
        return
    for number, line in enumerate(source.lines, 1):
        match = INCLUDE_LINE.match(line)
        if match and match.group(2) and SYSTEM_HEADERS.match(match.group(2)):
            yield Finding(source.path, number, "system", f"<{match.group(2)}>: {VIA_OS}")
    yield from find_in_code(source, "system", SYSTEM_NAMES, VIA_OS)
    yield from find_in_code(source, "system", SYSTEM_CALLS, VIA_OS + "; a member is this->name()")
    yield from find_in_code(source, "system", STD_THREAD, "threads are started by src/os")
    yield from find_in_code(source, "system", THREAD_LOCAL,
                            "state belongs to a worker, which is passed in")


CONSTANT = re.compile(r"\b(?:constexpr|consteval)\b|\bconst\b(?!.*\*(?!\s*const\b))")
NOT_A_VARIABLE = re.compile(
    r"^(?:using|typedef|friend|static_assert|namespace|extern|template|class|struct|union|enum|asm"
    r"|concept|requires|public|private|protected|return|goto|case|default|break|continue|WEIR_)\b"
)


@rule
def mutable_static(source: Source) -> Iterator[Finding]:
    """Mutable statics anywhere, and mutable variables at namespace scope."""
    if not source.must_be_pure:
        return
    for statement in source.statements:
        text = re.sub(r"\[\[.*?\]\]\s*", "", statement.text)
        declared = re.split(r"=|\{", text, maxsplit=1)[0]
        is_static = re.match(r"^(?:inline\s+)?static\b", text)
        is_global = statement.where == "namespace" and not NOT_A_VARIABLE.match(text) \
            and re.match(r"^[\w:<>,\s*&\[\]]+\s[\w:*&\[\]]+\s*$", declared.strip() + " ")
        if (is_static or is_global) and "(" not in declared and "operator" not in declared \
                and not CONSTANT.search(declared):
            yield Finding(source.path, statement.line, "mutable-static",
                          f"'{' '.join(declared.split())}' outlives its owner; make it constexpr "
                          "or a member of what owns it")


# --- Running ------------------------------------------------------------------------------------


def check_text(path: str, text: str) -> list[Finding]:
    source = Source(path, text)
    return [finding for each in RULES for finding in each(source)]


def list_files() -> Iterator[pathlib.Path]:
    """The files the rules are about; test data is left alone."""
    for folder in CODE_FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in CODE_SUFFIXES:
                yield path
    for folder in SCRIPT_FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".sh"} or (not path.suffix and starts_as_script(path)):
                yield path
    yield from ROOT.glob("*.md")
    yield from (ROOT / "docs").rglob("*.md")


def starts_as_script(path: pathlib.Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def self_test() -> int:
    failures = []
    heads = {".md": "", ".py": "# A file.\n", ".h": "// A file.\n", ".cpp": "// A file.\n"}
    for name, path, bad, good in tidy_cases.CASES:
        head = heads[pathlib.PurePath(path).suffix]
        if name not in {finding.rule for finding in check_text(path, head + bad + "\n")}:
            failures.append(f"{name} does not fire on {path}:\n{bad[:200]}")
        if good is not None:
            wrong = check_text(path, head + good + "\n")
            failures += [f"{f.rule} fires on good text in {path}: {f.message}" for f in wrong]
    if "file-head" not in {finding.rule for finding in check_text("src/base/a.cpp", "int f();\n")}:
        failures.append("file-head does not fire")
    for failure in failures:
        print(failure)
    tested = {name for name, *_ in tidy_cases.CASES} | {"file-head"}
    print(f"tidy self-test: {len(tested)} rules, {2 * len(tidy_cases.CASES) + 1} snippets, "
          f"{len(failures)} failures")
    return 1 if failures else 0


def main(arguments: list[str]) -> int:
    if arguments == ["--self-test"]:
        return self_test()
    if arguments:
        print(__doc__)
        return 0 if arguments[0] in ("-h", "--help") else 2
    findings = []
    files = sorted(set(list_files()))
    for path in files:
        relative = path.relative_to(ROOT).as_posix()
        findings += check_text(relative, path.read_text(encoding="utf-8"))
    for finding in findings:
        print(f"{finding.path}:{finding.line}: [{finding.rule}] {finding.message}")
    print(f"tidy: {len(files)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
