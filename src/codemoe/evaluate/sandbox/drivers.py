"""The ways to judge a language, by the names that the table of languages uses."""

from collections.abc import Callable

from codemoe.evaluate.sandbox import cpp, csharp, go, java, native, php, strong, typescript
from codemoe.evaluate.sandbox.judgement import Driver, Setup
from codemoe.languages import LANGUAGES, Language

DRIVERS: dict[str, Callable[[Language, Setup], Driver]] = {
    "python": strong.python,
    "javascript": strong.javascript,
    "typescript": typescript.TypeScript,
    "java": java.Java,
    "cpp": cpp.Cpp,
    "native": native.Native,
    "go": go.Go,
    "php": php.Php,
    "csharp": csharp.CSharp,
}


def runnable() -> list[str]:
    """Names of the languages that have a driver, installed or not."""
    return [row.name for row in LANGUAGES.values() if row.toolchain is not None]
