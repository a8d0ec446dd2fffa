"""Do one thing with the characters of one kind in a text: "remove the vowels"."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from codemoe.data.corpus.string_vocabulary import CHAR_CLASSES, MIXED_ALPHABET, CharClass
from codemoe.data.corpus.task import Param, Task

FAMILY = "string_chars"


@dataclass(frozen=True)
class _Operation:
    """What happens with the characters of the class.

    In the bodies `<c>` stands for the condition on the character `c` and `<!c>` for its negation;
    `RE` is the class's regular expression and `CAP` a C++ lambda's capture. `single` holds the
    bodies for a class of one character (`CH`), where a language has a shorter way.
    """

    key: str
    before: str  # the function's name, around the class
    after: str
    returns: str
    titles: tuple[str, ...]
    comments: tuple[tuple[str, str], ...]
    bodies: dict[str, str]
    solve: Callable[[str, Callable[[str], bool]], object]
    single: dict[str, str] = field(default_factory=dict)
    skips: tuple[str, ...] = ()


def _cpp_build(step: str) -> str:
    return f"string result;\nfor (char c : text) {{\n{step}\n}}\nreturn result;"


def _java_build(step: str) -> str:
    return (
        "StringBuilder result = new StringBuilder();\n"
        f"for (char c : text.toCharArray()) {{\n{step}\n}}\nreturn result.toString();"
    )


def _longest_run(text: str, holds: Callable[[str], bool]) -> int:
    return max((len(list(run)) for kind, run in groupby(text, holds) if kind), default=0)


def _strip_left(text: str, holds: Callable[[str], bool]) -> str:
    while text and holds(text[0]):
        text = text[1:]
    return text


_OPERATIONS = (
    _Operation(
        "count", "count", "", "int",
        ("Count the {}", "Number of {} in a text", "How many {} the text has"),
        (("Go through the characters of the text", "Return how many of them are {}"),
         ("Test every character of the text", "Add one to the count for each of the {}"),
         ("Take the {} of the text", "Return their number , 0 if there are none")),
        {"python": "return sum(1 for c in text if <c>)",
         "javascript": "return (text.match(RE) || []).length;",
         "java": "return (int) text.chars().filter(c -> <c>).count();",
         "cpp": "return count_if(text.begin(), text.end(), CAP(char c) { return <c>; });"},
        lambda text, holds: sum(map(holds, text)),
        single={"python": 'return text.count("CH")',
                "javascript": "return text.split('CH').length - 1;",
                "cpp": "return count(text.begin(), text.end(), 'CH');"},
    ),
    _Operation(
        "remove", "remove", "", "str",
        ("Remove the {}", "Delete all {} from a text", "Text without the {}"),
        (("Drop every one of the {}", "Return the other characters in their order"),
         ("Leave out the {}", "Return the rest of the text"),
         ("Skip the {}", "Join the characters that remain")),
        {"python": 'return "".join(c for c in text if <!c>)',
         "javascript": "return text.replace(RE, '');",
         "java": 'return text.replaceAll("JRE", "");',
         "cpp": "string result = text;\n"
                "auto rest = remove_if(result.begin(), result.end(), CAP(char c) { return <c>; });"
                "\nresult.erase(rest, result.end());\nreturn result;"},
        lambda text, holds: "".join(c for c in text if not holds(c)),
        single={"python": 'return text.replace("CH", "")',
                "java": 'return text.replace("CH", "");'},
    ),
    _Operation(
        "keep", "keep only", "", "str",
        ("Keep only the {}", "Take just the {} of a text", "Text of nothing but the {}"),
        (("Drop every other character of the text", "Return the {} in their order"),
         ("Collect the {} from left to right", "Return them as one text"),
         ("Pick the {}", "Join them , the result is empty if there are none")),
        {"python": 'return "".join(c for c in text if <c>)',
         "javascript": "return [...text].filter((c) => <c>).join('');",
         "java": _java_build("    if (<c>) {\n        result.append(c);\n    }"),
         "cpp": _cpp_build("    if (<c>) {\n        result += c;\n    }")},
        lambda text, holds: "".join(filter(holds, text)),
    ),
    _Operation(
        "star", "replace", "with stars", "str",
        ("Replace the {} with stars", "Star out all {}", "Hide the {} behind stars"),
        (("Put a star in the place of each of the {}", "Leave the other characters as they are"),
         ("Write * instead of each of the {}", "Keep every other character"),
         ("Go through the text and turn the {} into *", "Return the changed text")),
        {"python": 'return "".join("*" if <c> else c for c in text)',
         "javascript": "return text.replace(RE, '*');",
         "java": 'return text.replaceAll("JRE", "*");',
         "cpp": "string result = text;\nfor (char& c : result) {\n"
                "    if (<c>) {\n        c = '*';\n    }\n}\nreturn result;"},
        lambda text, holds: "".join("*" if holds(c) else c for c in text),
        single={"python": 'return text.replace("CH", "*")',
                "java": "return text.replace('CH', '*');"},
    ),
    _Operation(
        "double", "double", "", "str",
        ("Double the {}", "Repeat each of the {}", "Text with all {} doubled"),
        (("Write each of the {} twice", "Write the other characters once"),
         ("Put every one of the {} two times", "Leave the other characters as they are"),
         ("Go through the text and write the {} twice", "Return the longer text")),
        {"python": 'return "".join(c * 2 if <c> else c for c in text)',
         "javascript": "return text.replace(RE, '$&$&');",
         "java": _java_build("    result.append(c);\n    if (<c>) {\n"
                             "        result.append(c);\n    }"),
         "cpp": _cpp_build("    result += c;\n    if (<c>) {\n        result += c;\n    }")},
        lambda text, holds: "".join(c + c if holds(c) else c for c in text),
        single={"python": 'return text.replace("CH", "CHCH")'},
    ),
    _Operation(
        "bracket", "bracket", "", "str",
        ("Put the {} in brackets", "Bracket all {}", "Surround the {} with brackets"),
        (("Write each of the {} between [ and ]", "Leave the other characters as they are"),
         ("Put [ before and ] after each of the {}", "Keep every other character"),
         ("Go through the text and put [ and ] around the {}", "Return the longer text")),
        {"python": 'return "".join(f"[{c}]" if <c> else c for c in text)',
         "javascript": "return text.replace(RE, '[$&]');",
         "java": 'return text.replaceAll("JRE", "[$0]");',
         "cpp": _cpp_build("    if (<c>) {\n        result += '[';\n        result += c;\n"
                           "        result += ']';\n    } else {\n        result += c;\n    }")},
        lambda text, holds: "".join("[" + c + "]" if holds(c) else c for c in text),
        single={"python": 'return text.replace("CH", "[CH]")',
                "java": 'return text.replace("CH", "[CH]");'},
    ),
    _Operation(
        "first", "first index of", "", "int",
        ("Index of the first of the {}", "First position of {}", "Where the {} begin"),
        (("Go through the text from the left", "Return the index of the first of the {} or -1"),
         ("Search the text for the {}", "Return the smallest index or -1 if there are none"),
         ("Find the leftmost of the {}", "Return its index , -1 if there are none")),
        {"python": "return next((i for i, c in enumerate(text) if <c>), -1)",
         "javascript": "return text.search(RE1);",
         "java": "for (int i = 0; i < text.length(); i++) {\n    char c = text.charAt(i);\n"
                 "    if (<c>) {\n        return i;\n    }\n}\nreturn -1;",
         "cpp": "auto it = find_if(text.begin(), text.end(), CAP(char c) { return <c>; });\n"
                "return it == text.end() ? -1 : it - text.begin();"},
        lambda text, holds: [*(i for i, c in enumerate(text) if holds(c)), -1][0],
        single={"python": 'return text.find("CH")', "javascript": "return text.indexOf('CH');",
                "java": "return text.indexOf('CH');",
                "cpp": "auto it = find(text.begin(), text.end(), 'CH');\n"
                       "return it == text.end() ? -1 : it - text.begin();"},
    ),
    _Operation(
        "last", "last index of", "", "int",
        ("Index of the last of the {}", "Last position of {}", "Where the {} end"),
        (("Go through the text from the right",
          "Return the index of the first of the {} met or -1"),
         ("Search the text backwards for the {}",
          "Return the largest index or -1 if there are none"),
         ("Find the rightmost of the {}", "Return its index , -1 if there are none")),
        {"python": "return max((i for i, c in enumerate(text) if <c>), default=-1)",
         "javascript": "for (let i = text.length - 1; i >= 0; i--) {\n"
                       "    if (<text[i]>) {\n        return i;\n    }\n}\nreturn -1;",
         "java": "for (int i = text.length() - 1; i >= 0; i--) {\n"
                 "    if (<text.charAt(i)>) {\n        return i;\n    }\n}\nreturn -1;",
         "cpp": "int last = -1;\nfor (int i = 0; i < (int)text.size(); i++) {\n"
                "    if (<text[i]>) {\n        last = i;\n    }\n}\nreturn last;"},
        lambda text, holds: max([-1, *(i for i, c in enumerate(text) if holds(c))]),
        single={"python": 'return text.rfind("CH")', "javascript": "return text.lastIndexOf('CH');",
                "java": "return text.lastIndexOf('CH');",
                "cpp": "size_t last = text.rfind('CH');\n"
                       "return last == string::npos ? -1 : (int)last;"},
    ),
    _Operation(
        "positions", "positions of", "", "intlist",
        ("Positions of the {}", "All indexes of {}", "List where the {} are"),
        (("Go through the text with an index", "Collect the index of each of the {}"),
         ("Number the characters from 0", "Return the numbers of the {} in ascending order"),
         ("Find the {} in the text", "Return their indexes as a list")),
        {"python": "return [i for i, c in enumerate(text) if <c>]",
         "javascript": "const positions = [];\nfor (let i = 0; i < text.length; i++) {\n"
                       "    if (<text[i]>) positions.push(i);\n}\nreturn positions;",
         "java": "List<Integer> positions = new ArrayList<>();\n"
                 "for (int i = 0; i < text.length(); i++) {\n    char c = text.charAt(i);\n"
                 "    if (<c>) {\n        positions.add(i);\n    }\n}\nreturn positions;",
         "cpp": "vector<int> positions;\nfor (int i = 0; i < (int)text.size(); i++) {\n"
                "    if (<text[i]>) {\n        positions.push_back(i);\n    }\n}\n"
                "return positions;"},
        lambda text, holds: [i for i, c in enumerate(text) if holds(c)],
    ),
    _Operation(
        "run", "longest run of", "", "int",
        ("Longest run of {}", "Length of the longest group of {}", "Most {} in a row"),
        (("Count the {} that follow each other", "Start again at any other character , return the "
          "largest count"),
         ("Add one for each of the {} and reset to 0 at any other character",
          "Keep the maximum of the count"),
         ("Find the {} that stand side by side", "Return the greatest number of them , 0 if none")),
        {"python": "best = run = 0\nfor c in text:\n    run = run + 1 if <c> else 0\n"
                   "    best = max(best, run)\nreturn best",
         "javascript": "const runs = text.match(RUN) || [];\n"
                       "return Math.max(0, ...runs.map((run) => run.length));",
         "java": "int best = 0;\nint run = 0;\nfor (char c : text.toCharArray()) {\n"
                 "    run = <c> ? run + 1 : 0;\n    best = Math.max(best, run);\n}\nreturn best;",
         "cpp": "int best = 0, run = 0;\nfor (char c : text) {\n"
                "    run = <c> ? run + 1 : 0;\n    best = max(best, run);\n}\nreturn best;"},
        _longest_run,
    ),
    _Operation(
        "any", "has", "", "bool",
        ("Whether the text has {}", "Check if a text contains {}", "Is there any of the {}"),
        (("Test the characters one after the other", "Return true at the first of the {}"),
         ("Search the text for the {}", "Return true if there is at least one"),
         ("Look for the {} in the text", "Return true if one is found and false otherwise")),
        {"python": "return any(<c> for c in text)",
         "javascript": "return RE1.test(text);",
         "java": "return text.chars().anyMatch(c -> <c>);",
         "cpp": "return any_of(text.begin(), text.end(), CAP(char c) { return <c>; });"},
        lambda text, holds: any(map(holds, text)),
        single={"python": 'return "CH" in text', "javascript": "return text.includes('CH');",
                "java": 'return text.contains("CH");',
                "cpp": "return text.find('CH') != string::npos;"},
    ),
    _Operation(
        "all", "only", "", "bool",
        ("Whether the text has only {}", "Check if a text consists of {}", "Are there only {}"),
        (("Return false at the first character of another kind", "Return true if all are {}"),
         ("Test that the characters are {}", "An empty text gives true"),
         ("Look for a character outside the {}", "Return true if there is none")),
        {"python": "return all(<c> for c in text)",
         "javascript": "return [...text].every((c) => <c>);",
         "java": "return text.chars().allMatch(c -> <c>);",
         "cpp": "return all_of(text.begin(), text.end(), CAP(char c) { return <c>; });"},
        lambda text, holds: not [c for c in text if not holds(c)],
    ),
    _Operation(
        "ends", "ends with", "", "bool",
        ("Whether the text ends with one of the {}", "Check the end of a text for {}",
         "Is the last character one of the {}"),
        (("Look at the last character", "Return true if it is one of the {} , false for no text"),
         ("Take the final character of the text", "Return whether it belongs to the {}"),
         ("An empty text gives false", "Test the last character for {}")),
        {"python": "return bool(text) and <text[-1]>",
         "javascript": "return END.test(text);",
         "java": "if (text.isEmpty()) {\n    return false;\n}\n"
                 "char c = text.charAt(text.length() - 1);\nreturn <c>;",
         "cpp": "return !text.empty() && <text.back()>;"},
        lambda text, holds: any(map(holds, text[-1:])),
        single={"python": 'return text.endswith("CH")',
                "javascript": "return text.endsWith('CH');",
                "java": 'return text.endsWith("CH");'},
    ),
    _Operation(
        "lstrip", "skip leading", "", "str",
        ("Skip the leading {}", "Remove {} at the start", "Strip the {} on the left"),
        (("Go past the {} at the beginning of the text", "Return the rest of the text"),
         ("Drop the {} up to the first other character", "Keep all that follows"),
         ("Find the first character that is not of the {}", "Return the text from there on")),
        {"python": "i = 0\nwhile i < len(text) and <text[i]>:\n    i += 1\nreturn text[i:]",
         "javascript": "return text.replace(START, '');",
         "java": "int i = 0;\nwhile (i < text.length() && <text.charAt(i)>) {\n    i++;\n}\n"
                 "return text.substring(i);",
         "cpp": "auto it = find_if(text.begin(), text.end(), CAP(char c) { return <!c>; });\n"
                "return string(it, text.end());"},
        _strip_left,
        single={"python": 'return text.lstrip("CH")'},
    ),
    _Operation(
        "front", "move", "to front", "str",
        ("Move the {} to the front", "Put all {} first", "Bring the {} before the rest"),
        (("Write the {} and then the other characters", "Keep the order within both parts"),
         ("Collect the {} and the rest apart", "Join the two parts in this order"),
         ("Split the text into {} and others", "Return the first part followed by the second")),
        {"python": "front = [c for c in text if <c>]\nback = [c for c in text if <!c>]\n"
                   'return "".join(front + back)',
         "javascript": "const chars = [...text];\nconst front = chars.filter((c) => <c>);\n"
                       "const back = chars.filter((c) => <!c>);\n"
                       "return [...front, ...back].join('');",
         "java": "StringBuilder front = new StringBuilder();\n"
                 "StringBuilder back = new StringBuilder();\nfor (char c : text.toCharArray()) {\n"
                 "    if (<c>) {\n        front.append(c);\n    } else {\n"
                 "        back.append(c);\n    }\n}\nreturn front.append(back).toString();",
         "cpp": "string front, back;\nfor (char c : text) {\n"
                "    if (<c>) {\n        front += c;\n    } else {\n        back += c;\n    }\n}\n"
                "return front + back;"},
        lambda text, holds: "".join(sorted(text, key=lambda c: not holds(c))),
    ),
    _Operation(
        "distinct", "count distinct", "", "int",
        ("Count the distinct {}", "Number of different {}", "How many different {} occur"),
        (("Collect the {} in a set", "Return the size of the set"),
         ("Take the {} without repeats", "Return how many there are"),
         ("Put each of the {} into a set once", "Count the items of the set")),
        {"python": "return len({c for c in text if <c>})",
         "javascript": "return new Set([...text].filter((c) => <c>)).size;",
         "java": "return (int) text.chars().filter(c -> <c>).distinct().count();",
         "cpp": "set<char> found;\nfor (char c : text) {\n    if (<c>) {\n"
                "        found.insert(c);\n    }\n}\nreturn found.size();"},
        lambda text, holds: len(set(filter(holds, text))),
        skips=("a", "x", "space"),
    ),
)  # fmt: skip


def _body(operation: _Operation, kind: CharClass, language: str) -> str:
    short = kind.single and operation.single.get(language)
    text = (short or operation.bodies[language]).replace("CH", kind.single)
    for c in ("c", "text[i]", "text[-1]", "text.charAt(i)", "text.back()"):
        text = text.replace(f"<!{c}>", kind.test(language, c, negated=True))
        text = text.replace(f"<{c}>", kind.test(language, c))
    literal = f"/{kind.regex}/{kind.flags}"
    text = text.replace("JRE", kind.java_regex).replace("RE1", literal)
    text = text.replace("RE", kind.js_regex).replace("RUN", f"/{kind.regex}+/g{kind.flags}")
    text = text.replace("START", f"/^{kind.regex}+/{kind.flags}")
    text = text.replace("END", f"/{kind.regex}$/{kind.flags}").replace("CAP", kind.capture)
    uses_name = kind.prelude and kind.prelude.split()[2] + ".find(" in text
    return f"{kind.prelude}\n{text}" if language == "cpp" and uses_name else text


def tasks() -> Iterator[Task]:
    for operation in _OPERATIONS:
        for kind in CHAR_CLASSES:
            if kind.key not in operation.skips:
                yield _task(operation, kind)


def _task(operation: _Operation, kind: CharClass) -> Task:
    texts = []
    for i in range(3):
        noun = kind.nouns[i % len(kind.nouns)]
        first, second = operation.comments[i]
        comments = (first.format(noun), second.format(noun))
        texts.append((operation.titles[i].format(noun), comments))
    return Task(
        family=FAMILY,
        slug=f"{operation.key}.{kind.key}",
        words=(*operation.before.split(), *kind.words, *operation.after.split()),
        params=(Param("text", "str", max_size=10, alphabet=MIXED_ALPHABET),),
        returns=operation.returns,
        texts=tuple(texts),
        bodies={name: _body(operation, kind, name) for name in ("python", "java", "javascript",
                                                                "cpp")},
        solve=lambda text: operation.solve(text, kind.holds),
    )  # fmt: skip
