"""Just enough reading of C++ for tools/tidy.py: blanks comments and literals, finds scopes.

A heuristic for code formatted by clang-format, not a parser: it tells namespaces, classes, function
bodies and initialisers apart by what stands in front of an opening brace.
"""

import bisect
import re
from typing import NamedTuple


class Scope(NamedTuple):
    """One pair of braces in C++ text, by line numbers starting at 1."""

    kind: str  # namespace, class, function, init, block
    first_line: int  # Line of the opening brace.
    last_line: int
    name: str


class Statement(NamedTuple):
    line: int
    where: str  # Kind of the scope around it.
    text: str


TOKEN = re.compile(
    r"""//(?:\\\n|[^\n])*                            # line comment
      | /\*.*?\*/                                    # block comment
      | R"(?P<delim>[^()\\\s]*)\(.*?\)(?P=delim)"    # raw string
      | "(?:\\.|[^"\\\n])*"                          # string
      | (?<![0-9A-Za-z_])(?:u8|[uUL])?'(?:\\.|[^'\\\n])*'  # character; not a digit separator
    """,
    re.VERBOSE | re.DOTALL,
)


def blank_out(text: str) -> str:
    """Replaces comments and the inside of literals by spaces; keeps offsets and line ends."""

    def blank(match: re.Match) -> str:
        token = match.group(0)
        spaces = re.sub(r"[^\n]", " ", token)
        return spaces if token.startswith("/") else token[0] + spaces[1:-1] + token[-1]

    return TOKEN.sub(blank, text)


CONSTRUCTOR_INIT = re.compile(r"\)\s*(?:noexcept\s*(?:\(.*?\))?\s*)?:(?!:)", re.DOTALL)
TYPE_HEAD = re.compile(
    r"^(?:template\s*<.*>\s*)?(?:typedef\s+)?(?:class|struct|union|enum)\b", re.DOTALL
)
DIRECTIVE = re.compile(r"(?m)^[ \t]*#(?:[^\n\\]|\\\n|\\.)*")
NOT_A_NAME_BEFORE_BODY = {"const", "noexcept", "override", "final", "try", "mutable", "else", "do"}


def classify(head: str, where: str) -> str:
    """Says what the brace after `head` opens. `where` is the scope around it."""
    head = head.strip()
    if where in ("function", "block", "init"):
        return "block"
    if re.match(r'^(?:inline\s+)?namespace\b|^extern\s*"', head):
        return "namespace"
    if TYPE_HEAD.match(head) and not re.search(r"\)\s*\w*$|=$", head):
        return "class"
    if "(" not in head or re.search(r"=\s*$", head):
        return "init"
    last_word = re.search(r"([\w>]+)$", head)
    if CONSTRUCTOR_INIT.search(head) and last_word \
            and last_word.group(1) not in NOT_A_NAME_BEFORE_BODY:
        return "init"
    if re.search(r"\boperator\s*=$", head):
        return "function"
    return "init" if re.search(r"[,=(]$", head) else "function"


def scan_scopes(code: str) -> tuple[list[Scope], list[Statement]]:
    """Splits code into scopes and into the statements outside of initialisers."""
    code = DIRECTIVE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), code)
    line_starts = [0] + [m.end() for m in re.finditer("\n", code)]
    scopes: list[Scope] = []
    statements: list[Statement] = []
    stack: list[tuple[str, int, str, int]] = []  # kind, line, head, start of the statement
    start = 0  # Where the current statement began.
    parens = 0

    def line_of(offset: int) -> int:
        return bisect.bisect_right(line_starts, offset)

    def head_from(offset: int, end: int) -> tuple[int, str]:
        text = re.sub(r"^(?:\s|(?:public|private|protected)\s*:(?!:))+", "", code[offset:end])
        return end - len(text), text.strip()

    def where() -> str:
        return stack[-1][0] if stack else "namespace"

    for match in re.finditer(r"[{};()]", code):
        char, at = match.group(), match.start()
        if char in "()":
            parens = max(0, parens + (1 if char == "(" else -1))
        elif char == "{":
            begin, head = head_from(start, at)
            kind = "block" if parens and where() == "function" else classify(head, where())
            stack.append((kind, line_of(at), head, start, parens))
            parens = 0
            if kind != "init":
                if where() in ("function", "block") or kind == "block":
                    statements.append(Statement(line_of(begin), "function", head))
                start = at + 1
        elif char == "}" and stack:
            kind, line, head, begin, parens = stack.pop()
            if kind == "function":
                scopes.append(Scope(kind, line, line_of(at), head))
            start = begin if kind == "init" else at + 1
        elif char == ";" and parens == 0:
            begin, text = head_from(start, at)
            if text:
                statements.append(Statement(line_of(begin), where(), text))
            start = at + 1
    return scopes, statements
