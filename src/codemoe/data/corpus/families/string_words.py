"""Choose words of a text, change them and make one result: "join the long words in upper case".

A text's words are what stands between spaces, so that leading and double spaces do no harm.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from textwrap import indent

from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.word_vocabulary import WORD_MAPS, WORD_PREDICATES, WordMap, WordPredicate

FAMILY = "string_words"

_TEXT = Param("text", "str", max_size=26, alphabet="aaeeiosstbmlrnAES     ")


@dataclass(frozen=True)
class _Collector:
    """A result that is made of all chosen words, changed by a WordMap."""

    key: str
    verb: str
    returns: str
    titles: tuple[str, ...]  # {0} the words, {1} how they are changed
    steps: tuple[str, ...]
    collect: Callable[[list[str]], object]


@dataclass(frozen=True)
class _Summary:
    """A result that takes the chosen words as they are."""

    key: str
    words: tuple[str, ...]
    returns: str
    titles: tuple[str, ...]
    steps: tuple[str, ...]
    python: str  # ITEMS is "for word in text.split() if ...", CONDITION the condition
    javascript: str  # WORDS is the array of the chosen words
    start: str  # of the loops in Java and C++: the declaration
    java: str
    cpp: str
    end: str
    solve: Callable[[list[str]], object]
    extra: tuple[str, str] = ("", "")  # one more condition in the loops of Java and C++


_COLLECTORS = (
    _Collector("join", "join", "str",
               ("Join the {0} {1}", "Text of the {0} {1}", "Sentence of all {0} {1}"),
               ("Write them {} with single spaces between",
                "Put them together {} , separated by one space",
                "Return them {} with a space between two"),
               " ".join),
    _Collector("list", "list", "strlist",
               ("List the {0} {1}", "Collect the {0} {1}", "Array of all {0} {1}"),
               ("Append each to a list {}", "Return a list with them {}",
                "Collect them {} in their order"),
               list),
    _Collector("hyphen", "hyphenate", "str",
               ("Hyphenate the {0} {1}", "Text of the {0} {1} with hyphens",
                "Chain of all {0} {1}"),
               ("Write them {} with a hyphen between",
                "Put them together {} , separated by hyphens",
                "Return them {} with a hyphen between two"),
               "-".join),
)  # fmt: skip

_SUMMARIES = (
    _Summary("count", ("count",), "int",
             ("Count the {}", "Number of {} in a text", "How many {} the text has"),
             ("Add one to the count for each", "Return how many there are",
              "Count them , the result is 0 if there are none"),
             "return sum(1 ITEMS)", "return WORDS.length;", "int total = 0;", "total++;",
             "total++;", "return total;", len),
    _Summary("letters", ("total", "length", "of"), "int",
             ("Total length of the {}", "Number of letters in the {} of a text",
              "Add up the lengths of the {}"),
             ("Add the length of each to the total", "Return the sum of their lengths",
              "Sum the lengths , the result is 0 if there are none"),
             "return sum(len(word) ITEMS)",
             "return WORDS\n    .reduce((total, word) => total + word.length, 0);",
             "int total = 0;", "total += word.length();", "total += word.size();",
             "return total;", lambda words: sum(map(len, words))),
    _Summary("longest", ("longest", "of"), "str",
             ("Longest of the {}", "Find the longest one of the {}",
              "Greatest in length of all {}"),
             ("Keep the longest one , the first of equal length , empty text if none",
              "Return the first one of greatest length or an empty text",
              "Return it , the earliest of several , empty text for none"),
             'return max((word ITEMS), key=len, default="")',
             "return WORDS\n    .reduce((best, word) => (word.length > best.length ? word : best), "
             "'');",
             'STRING longest = "";',
             "longest = word;", "longest = word;", "return longest;",
             lambda words: max(words, key=len, default=""),
             ("word.length() > longest.length()", "word.size() > longest.size()")),
    _Summary("last", ("last", "of"), "str",
             ("Last of the {}", "Find the last one of the {}", "Rightmost of all {}"),
             ("Remember the latest one , the result is an empty text if none",
              "Return the one nearest to the end or an empty text",
              "Return it , empty text for none"),
             "words = [word ITEMS]\nreturn words[-1] if words else \"\"",
             "return WORDS.at(-1) || '';",
             'STRING last = "";', "last = word;", "last = word;", "return last;",
             lambda words: words[-1] if words else ""),
    _Summary("lengths", ("lengths", "of"), "intlist",
             ("Lengths of the {}", "List the lengths of the {}", "Number of letters in each of "
              "the {}"),
             ("Append the length of each to a list", "Return the list of their lengths in order",
              "Collect how many letters each one has"),
             "return [len(word) ITEMS]", "return WORDS.map((word) => word.length);",
             "INTLIST lengths;", "lengths.add(word.length());", "lengths.push_back(word.size());",
             "return lengths;", lambda words: [len(w) for w in words]),
    _Summary("maxlength", ("greatest", "length", "of"), "int",
             ("Greatest length of the {}", "Length of the longest one of the {}",
              "Most letters in any of the {}"),
             ("Keep the maximum of the lengths , 0 if there are none",
              "Return the largest length , 0 for none",
              "Start from 0 and keep the greater length"),
             "return max((len(word) ITEMS), default=0)",
             "return WORDS\n    .reduce((best, word) => Math.max(best, word.length), 0);",
             "int best = 0;", "best = Math.max(best, word.length());",
             "best = max(best, (int)word.size());", "return best;",
             lambda words: max(map(len, words), default=0)),
    _Summary("any", ("has",), "bool",
             ("Whether the text has {}", "Check if a text contains {}",
              "Are there {} in the text"),
             ("Return true at the first one and false if there are none",
              "Return true if there is at least one", "Return true when one is found"),
             "return any(CONDITION for word in text.split())", "return WORDS.length > 0;",
             "", "return true;", "return true;", "return false;", bool),
)  # fmt: skip

_JS_WORDS = "(text.match(/\\S+/g) || [])"


def _java_loop(chosen: WordPredicate, start: str, step: str, end: str, extra: str = "") -> str:
    condition = chosen.java_guarded
    if extra:
        # Both extra conditions are false for the empty text, so no guard is due without others.
        condition = f"{condition} && {extra}" if chosen.java else extra
    return (
        f"{start}for (String word : text.split(\" \")) {{\n    if ({condition}) {{\n"
        f"{indent(step, ' ' * 8)}\n    }}\n}}\n{end}"
    )  # fmt: skip


def _cpp_loop(chosen: WordPredicate, start: str, step: str, end: str, extra: str = "") -> str:
    prelude = f"{chosen.prelude}\n" if chosen.prelude else ""
    condition = " && ".join(part for part in (chosen.cpp, extra) if part)
    inner = indent(step, "    ")
    if condition:
        inner = f"    if ({condition}) {{\n{indent(inner, '    ')}\n    }}"
    return (
        f"{prelude}istringstream in(text);\nstring word;\n{start}"
        f"while (in >> word) {{\n{inner}\n}}\n{end}"
    )


def _items(chosen: WordPredicate) -> str:
    return "for word in text.split()" + (f" if {chosen.python}" if chosen.python else "")


def _collect_bodies(kind: _Collector, chosen: WordPredicate, changed: WordMap) -> dict[str, str]:
    glue = {"join": " ", "hyphen": "-", "list": ""}[kind.key]
    filtered = f"\n    .filter((word) => {chosen.javascript})" if chosen.javascript else ""
    mapped = f"\n    .map((word) => {changed.javascript})" if changed.key != "same" else ""
    joined = f"\n    .join('{glue}')" if glue else ""
    java_map = f"    .map(word -> {changed.java})\n" if changed.key != "same" else ""
    statement = f"{changed.cpp_statement}\n" if changed.cpp_statement else ""
    items = _items(chosen)
    if not glue:
        python = f"[{changed.python} {items}]"
        plain = changed.key == "same" and not chosen.python
        return {
            "python": "return text.split()" if plain else f"return {python}",
            "javascript": f"return {_JS_WORDS}{filtered}{mapped};",
            "java": _java_loop(chosen, "List<String> result = new ArrayList<>();\n",
                               f"result.add({changed.java});", "return result;"),
            "cpp": _cpp_loop(chosen, "vector<string> result;\n",
                             f"{statement}result.push_back({changed.cpp});", "return result;"),
        }  # fmt: skip
    add = f"if (!result.empty()) result += '{glue}';\nresult += {changed.cpp};"
    plain = changed.key == "same" and not chosen.python
    joined_items = "text.split()" if plain else f"{changed.python} {items}"
    return {
        "python": f'return "{glue}".join({joined_items})',
        "javascript": f"return {_JS_WORDS}{filtered}{mapped}{joined};",
        "java": f'return Arrays.stream(text.split(" "))\n'
                f"    .filter(word -> {chosen.java_guarded})\n"
                f'{java_map}    .collect(Collectors.joining("{glue}"));',
        "cpp": _cpp_loop(chosen, "string result;\n", statement + add, "return result;"),
    }  # fmt: skip


def _summary_bodies(kind: _Summary, chosen: WordPredicate) -> dict[str, str]:
    words = _JS_WORDS
    if chosen.javascript:
        words += f"\n    .filter((word) => {chosen.javascript})"
    python = kind.python.replace("ITEMS", _items(chosen))
    python = python.replace("CONDITION", chosen.python)
    # Without a condition the list of the words itself does.
    for long, short in (("[word for word in text.split()]", "text.split()"),
                        ("(word for word in text.split())", "text.split()"),
                        ("sum(1 for word in text.split())", "len(text.split())")):  # fmt: skip
        python = python.replace(long, short)
    start = {}
    for language, text, numbers in (("java", "String", "List<Integer> lengths = new ArrayList<>()"),
                                    ("cpp", "string", "vector<int> lengths")):  # fmt: skip
        line = kind.start.replace("STRING", text).replace("INTLIST lengths", numbers)
        if language == "cpp":
            line = line.replace(' = ""', "")
        start[language] = f"{line}\n" if line else ""
    return {
        "python": python,
        "javascript": kind.javascript.replace("WORDS", words),
        "java": _java_loop(chosen, start["java"], kind.java, kind.end, kind.extra[0]),
        "cpp": _cpp_loop(chosen, start["cpp"], kind.cpp, kind.end, kind.extra[1]),
    }


def tasks() -> Iterator[Task]:
    for i, chosen in enumerate(WORD_PREDICATES):
        for summary in _SUMMARIES:
            # "Has any word at all" is no condition on words.
            if summary.key != "any" or chosen.python:
                yield _summary_task(summary, chosen)
        for j, changed in enumerate(WORD_MAPS):
            for k, collector in enumerate(_COLLECTORS):
                # Half of the product, so that each pair of factors meets in some of it.
                if (i + j + k) % 2 == 0:
                    yield _collect_task(collector, chosen, changed)


def _choice(noun: str, i: int) -> str:
    if noun == "words":
        return ("Split the text at spaces", "Go through the words", "Cut the text into words")[i]
    return ("Split the text at spaces and take the {}", "From the text take the {}",
            "Choose the {}")[i].format(noun)  # fmt: skip


def _collect_task(kind: _Collector, chosen: WordPredicate, changed: WordMap) -> Task:
    texts = []
    for i in range(3):
        noun = chosen.nouns[i % len(chosen.nouns)]
        phrase = changed.phrases[i % len(changed.phrases)]
        title = kind.titles[i].format(noun, phrase if changed.key != "same" else "").rstrip()
        texts.append((" ".join(title.split()), (_choice(noun, i), kind.steps[i].format(phrase))))
    return Task(
        family=FAMILY,
        slug=f"{kind.key}.{chosen.key}.{changed.key}",
        words=(kind.verb, *changed.words, *chosen.name),
        params=(_TEXT,),
        returns=kind.returns,
        texts=tuple(texts),
        bodies=_collect_bodies(kind, chosen, changed),
        solve=lambda text: kind.collect(
            [changed.apply(word) for word in text.split() if chosen.holds(word)]
        ),
    )


def _summary_task(kind: _Summary, chosen: WordPredicate) -> Task:
    texts = []
    for i in range(3):
        noun = chosen.nouns[i % len(chosen.nouns)]
        texts.append((kind.titles[i].format(noun), (_choice(noun, i), kind.steps[i])))
    return Task(
        family=FAMILY,
        slug=f"{kind.key}.{chosen.key}",
        words=(*kind.words, *chosen.name),
        params=(_TEXT,),
        returns=kind.returns,
        texts=tuple(texts),
        bodies=_summary_bodies(kind, chosen),
        solve=lambda text: kind.solve([word for word in text.split() if chosen.holds(word)]),
    )
