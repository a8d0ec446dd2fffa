"""HumanEval-X (arXiv:2303.17568): `task_id` names the language, `declaration` the signature.

Assembled as its authors do it, except that nothing must be installed: Go's tests lean on testify
and Rust's declaration on three crates, which a sandbox does not have.
"""

import re

from codemoe.evaluate.suites.fields import Fields
from codemoe.evaluate.suites.problem import Problem, continue_prompt, cut_before_tests
from codemoe.evaluate.suites.stops import for_language


def read(fields: Fields) -> Problem:
    name = fields.identity("task_id")
    language = fields.language(name.partition("/")[0])
    test = fields.text("test")
    prompt = fields.text("prompt")
    assemble = continue_prompt
    if language == "rust":
        # The prompt is the description alone there.
        declaration = fields.text("declaration")
        if declaration.strip() not in prompt:
            prompt = prompt + declaration
        test, assemble = _rust_main(test), _rust
    elif language == "go":
        test, assemble = test + _GO_ASSERT, _go
    return Problem(
        id=name,
        language=language,
        prompt=prompt,
        tests="\n" + test,
        solution=fields.optional("canonical_solution"),
        entry_point=fields.optional("entry_point"),
        stop=for_language(language),
        suite_format="humaneval-x",
        assemble=assemble,
    )


_CRATE = re.compile(r"^use (rand|regex|md5)\b[^;]*;[ \t]*\n", re.MULTILINE)


def _rust(problem: Problem, completion: str) -> str:
    """Without the crates that the completion does not speak of."""

    def keep(match: re.Match[str]) -> str:
        words = {"rand": "rand|Rng|gen_range", "regex": "regex|Regex", "md5": "md5"}
        used = re.search(rf"\b(?:{words[match.group(1)]})\b", completion)
        return match.group() if used else ""

    return _CRATE.sub(keep, problem.prompt) + cut_before_tests(problem, completion)


def _rust_main(test: str) -> str:
    """`#[test]` functions of `mod tests`, called by a `main` as in other programs."""
    names = re.findall(r"#\[test\]\s*(?:pub\s+)?fn\s+(\w+)", test)
    plain = re.sub(r"#\[cfg\(test\)\]\s*", "", test)
    plain = re.sub(r"#\[test\](\s*)(?:pub\s+)?fn\b", r"\1pub fn", plain)
    calls = "".join(f"    tests::{name}();\n" for name in names)
    return f"{plain}\nfn main() {{\n{calls}}}\n"


# What a completion may use without saying so, as in the authors' own harness.
_GO_PACKAGES = (
    "bytes crypto/md5 errors fmt math math/big math/bits math/rand os regexp sort strconv strings "
    "time unicode unicode/utf8"
)
GO_IMPORTS = re.compile(r"\bimport\s*(?:\(([^)]*)\)|(\"[^\"]+\"))")
# The part of testify/assert that such tests call; its comparison is reflect's as well.
_GO_ASSERT = """
type assertions struct{ t *testing.T }

var assert = struct{ New func(*testing.T) *assertions }{
	New: func(t *testing.T) *assertions { return &assertions{t} },
}

func (a *assertions) hold(ok bool, expected, actual interface{}) bool {
	if !ok {
		a.t.Fatalf("expected %v, got %v", expected, actual)
	}
	return ok
}

func (a *assertions) Equal(expected, actual interface{}, _ ...interface{}) bool {
	return a.hold(reflect.DeepEqual(expected, actual), expected, actual)
}

func (a *assertions) NotEqual(expected, actual interface{}, _ ...interface{}) bool {
	return a.hold(!reflect.DeepEqual(expected, actual), "another value", actual)
}

func (a *assertions) True(value bool, _ ...interface{}) bool { return a.hold(value, true, value) }

func (a *assertions) False(value bool, _ ...interface{}) bool {
	return a.hold(!value, false, value)
}

func (a *assertions) Nil(value interface{}, _ ...interface{}) bool {
	return a.hold(value == nil, nil, value)
}

func (a *assertions) InDelta(expected, actual, delta float64, _ ...interface{}) bool {
	gap := expected - actual
	return a.hold(gap <= delta && -gap <= delta, expected, actual)
}
"""


def _go(problem: Problem, completion: str) -> str:
    """One import block of what is used: Go refuses both a missing and an unused import."""
    prompt = GO_IMPORTS.sub("", problem.prompt)
    body = GO_IMPORTS.sub("", completion)
    named = _GO_PACKAGES.split()
    for match in GO_IMPORTS.finditer(problem.prompt + "\n" + completion):
        named += re.findall(r'"([^"]+)"', match.group())
    code = "\n".join((prompt, body, problem.tests))
    used = {
        package: None
        for package in (*named, "reflect", "testing")
        if re.search(rf"\b{package.rpartition('/')[2]}\.", code)
    }
    imports = "".join(f'\t"{package}"\n' for package in sorted(used))
    return f"package main\n\nimport (\n{imports})\n{prompt}{body}"
