"""THE table of programming languages: adding one starts (and mostly ends) with one row here."""

import importlib
import shutil
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from codemoe.errors import UserError

if TYPE_CHECKING:
    import tree_sitter


@dataclass(frozen=True)
class Toolchain:
    """How the sandbox builds and runs a language; `Language.executables` must be there for it.

    `driver` names the way of judging (the keys of `DRIVERS` in evaluate/sandbox/drivers.py). For
    the driver "native", which serves every language whose compiler links a C `main`, `compile`
    is the compiler's command: source on standard input, "{launcher}" for the object file to link,
    "{out}" for the program, "{linker}" for the words that choose a fast linker.
    """

    driver: str
    packages: str  # what to install, in Debian's and Ubuntu's words
    compile: tuple[str, ...] = ()


@dataclass(frozen=True)
class Language:
    """One row: how people, parsers and toolchains name a language."""

    name: str  # canonical, lower case; what every artifact stores
    label: str  # what people read: "C++"
    aliases: tuple[str, ...]  # other spellings seen in data sets, fences and suites, lower case
    suffix: str  # file suffix with the dot
    grammar: str  # "module" or "module:function" of the tree-sitter grammar package
    line_comment: str
    executables: tuple[str, ...]  # toolchain: programs that must be on PATH to compile and run
    keywords: frozenset[str]  # for the weighted n-gram match
    toolchain: Toolchain | None = None  # None: programs of this language cannot be run

    def missing_executables(self) -> list[str]:
        return [exe for exe in self.executables if shutil.which(exe) is None]


def _command(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_C_KEYWORDS = (
    "auto break case char const continue default do double else enum extern float for goto if "
    "inline int long register restrict return short signed sizeof static struct switch typedef "
    "union unsigned void volatile while "
)
_JS_KEYWORDS = (
    "async await break case catch class const continue debugger default delete do else export "
    "extends false finally for function get if import in instanceof let new null of return set "
    "static super switch this throw true try typeof undefined var void while with yield "
)

_ROWS = (
    Language(
        "python",
        "Python",
        ("py", "python3", "python2"),
        ".py",
        "tree_sitter_python",
        "#",
        ("python3",),
        _words(
            "False None True and as assert async await break class continue def del elif else "
            "except finally for from global if import in is lambda match nonlocal not or pass "
            "raise return try while with yield"
        ),
        Toolchain("python", "python3"),
    ),
    Language(
        "java",
        "Java",
        ("jdk",),
        ".java",
        "tree_sitter_java",
        "//",
        ("java", "javac"),
        _words(
            "abstract assert boolean break byte case catch char class const continue default do "
            "double else enum extends false final finally float for goto if implements import "
            "instanceof int interface long native new null package private protected public "
            "record return short static strictfp super switch synchronized this throw throws "
            "transient true try var void volatile while yield"
        ),
        Toolchain("java", "default-jdk-headless"),
    ),
    Language(
        "javascript",
        "JavaScript",
        ("js", "node", "nodejs", "ecmascript", "jsx"),
        ".js",
        "tree_sitter_javascript",
        "//",
        ("node",),
        _words(_JS_KEYWORDS),
        Toolchain("javascript", "nodejs"),
    ),
    Language(
        "cpp",
        "C++",
        ("c++", "cxx", "cc", "cplusplus"),
        ".cpp",
        "tree_sitter_cpp",
        "//",
        ("g++",),
        _words(
            _C_KEYWORDS
            + "alignas alignof and asm bool catch class concept const_cast consteval constexpr "
            "constinit co_await co_return co_yield decltype delete dynamic_cast explicit export "
            "false final friend mutable namespace new noexcept not nullptr operator or override "
            "private protected public reinterpret_cast requires static_assert static_cast "
            "template this thread_local throw true try typeid typename using virtual wchar_t xor"
        ),
        Toolchain(
            "cpp",
            "g++",
            _command(
                "g++ -std=gnu++17 -O0 -w -fmax-errors=3 -fdiagnostics-color=never -x c++ - -x "
                "none {launcher} -Wl,--wrap=main {linker} -o {out}"
            ),
        ),
    ),
    Language(
        "c",
        "C",
        (),
        ".c",
        "tree_sitter_c",
        "//",
        ("gcc",),
        _words(_C_KEYWORDS),
        Toolchain(
            "native",
            "gcc libc6-dev",
            _command(
                "gcc -std=gnu17 -O0 -w -fmax-errors=3 -fdiagnostics-color=never -x c - -x none "
                "{launcher} -Wl,--wrap=main {linker} -o {out} -lm"
            ),
        ),
    ),
    Language(
        "csharp",
        "C#",
        ("c#", "cs", "c-sharp"),
        ".cs",
        "tree_sitter_c_sharp",
        "//",
        ("mcs", "mono"),
        _words(
            "abstract as async await base bool break byte case catch char checked class const "
            "continue decimal default delegate do double else enum event explicit extern false "
            "finally fixed float for foreach get goto if implicit in int interface internal is "
            "lock long namespace new null object operator out override params private protected "
            "public readonly record ref return sbyte sealed set short sizeof stackalloc static "
            "string struct switch this throw true try typeof uint ulong unchecked unsafe ushort "
            "using var virtual void volatile while yield"
        ),
        Toolchain("csharp", "mono-mcs mono-runtime libmono-system-core4.0-cil"),
    ),
    Language(
        "go",
        "Go",
        ("golang",),
        ".go",
        "tree_sitter_go",
        "//",
        ("go",),
        _words(
            "break case chan const continue default defer else fallthrough false for func go goto "
            "if import interface iota map nil package range return select struct switch true type "
            "var"
        ),
        Toolchain("go", "golang-go"),
    ),
    Language(
        "php",
        "PHP",
        ("php5", "php7", "php8"),
        ".php",
        "tree_sitter_php:language_php",
        "//",
        ("php",),
        _words(
            "abstract and array as break callable case catch class clone const continue declare "
            "default do echo else elseif empty enddeclare endfor endforeach endif endswitch "
            "endwhile enum extends false final finally fn for foreach function global goto if "
            "implements include include_once instanceof insteadof interface isset list match "
            "namespace new null or print private protected public readonly require require_once "
            "return static switch throw trait true try unset use var while xor yield"
        ),
        Toolchain("php", "php-cli"),
    ),
    Language(
        "typescript",
        "TypeScript",
        ("ts", "tsx"),
        ".ts",
        "tree_sitter_typescript:language_typescript",
        "//",
        ("node", "tsc"),
        _words(
            _JS_KEYWORDS
            + "abstract any as asserts boolean declare enum implements infer interface is keyof "
            "module namespace never number object override private protected public readonly "
            "satisfies string symbol type unique unknown"
        ),
        Toolchain("typescript", "nodejs npm, then: sudo npm install -g typescript"),
    ),
    Language(
        "rust",
        "Rust",
        ("rs",),
        ".rs",
        "tree_sitter_rust",
        "//",
        ("rustc", "gcc"),
        _words(
            "as async await break const continue crate dyn else enum extern false fn for if impl "
            "in let loop match mod move mut pub ref return self Self static struct super trait "
            "true type union unsafe use where while"
        ),
        Toolchain(
            "native",
            "rustc gcc",
            _command(
                "rustc --edition 2021 -C opt-level=0 -C debuginfo=0 -C overflow-checks=on -A "
                "warnings --color never --crate-name solution {linker} -C link-arg={launcher} -C "
                "link-arg=-Wl,--wrap=main -o {out} -"
            ),
        ),
    ),
    Language(
        "ruby",
        "Ruby",
        ("rb",),
        ".rb",
        "tree_sitter_ruby",
        "#",
        ("ruby",),
        _words(
            "BEGIN END alias and begin break case class def defined? do else elsif end ensure "
            "false for if in module next nil not or redo rescue retry return self super then true "
            "undef unless until when while yield"
        ),
    ),
)

LANGUAGES: dict[str, Language] = {row.name: row for row in _ROWS}
# Answers in words, for experts of domains: no programming language, so no row of the table. It has
# neither a grammar nor programs that run.
PROSE = Language("prose", "Prose", ("natural language",), ".txt", "", "", (), frozenset())
_BY_ALIAS = {
    alias: row for row in (*_ROWS, PROSE) for alias in (row.name, row.label.lower(), *row.aliases)
}


def find_language(name: str) -> Language | None:
    """The row for a name, label or alias in any case ("C++", "js"); None when there is none."""
    return _BY_ALIAS.get(name.strip().lower())


def get_language(name: str) -> Language:
    """Like `find_language`, but raises a UserError that lists what is known."""
    row = find_language(name)
    if row is None:
        raise UserError(
            f"unknown language {name!r}; known: {', '.join((*LANGUAGES, PROSE.name))}",
            "use one of these names, or add a row to codemoe/languages.py",
        )
    return row


@cache
def get_parser(name: str) -> "tree_sitter.Parser":
    """A tree-sitter parser for the language (one per process; parsers are not thread-safe)."""
    import tree_sitter

    row = get_language(name)
    module_name, _, function = row.grammar.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        package = module_name.replace("_", "-")
        raise UserError(
            f"no tree-sitter grammar for {row.label} is installed", f"pip install {package}"
        ) from error
    grammar = tree_sitter.Language(getattr(module, function or "language")())
    return tree_sitter.Parser(grammar)


MAX_CHECKS = 200  # of a parser's progress (each some hundred steps) a kilobyte; code takes 20
_PIECE_BYTES = 4_096


def parse_in_steps(
    parser: "tree_sitter.Parser", source: bytes
) -> tuple["tree_sitter.Tree | None", int]:
    """The tree and how many checks it took; None where they are far more than code takes.

    Some grammars try every reading of text that is no code, for minutes. Steps, not seconds, so
    that the result is the same on every machine.
    """
    most = MAX_CHECKS * (len(source) // 1024 + 1)
    checks = 0

    def is_over(_: int, __: bool) -> bool:
        nonlocal checks
        checks += 1
        return checks > most

    def piece(at: int, _: object) -> bytes:
        return source[at : at + _PIECE_BYTES]

    try:
        return parser.parse(piece, progress_callback=is_over), checks
    except ValueError:
        parser.reset()
        return None, checks
    except BaseException:  # an interrupt: the next text would be read as this one's rest
        parser.reset()
        raise
