"""What stands in the report's tables."""

from collections import defaultdict

from codemoe.evaluate.report.against import against_each, tested_against
from codemoe.evaluate.report.alignment import alignment
from codemoe.evaluate.report.compare import Ratio, over_languages
from codemoe.evaluate.report.read import Evaluation, Interval, Scores, Stage
from codemoe.evaluate.report.suites import suites_tables
from codemoe.evaluate.report.summary import ALL, BASE, EXPERT, MIXTURE, ORACLE, ratios
from codemoe.evaluate.report.table import Cell, Table
from codemoe.evaluate.report.words import (
    DASH,
    NOT_RUN,
    duration,
    interval,
    language_label,
    model_label,
    percent,
    quantity,
    score,
    times,
)
from codemoe.evaluate.statistics import share_interval


def all_tables(evaluation: Evaluation) -> dict[str, Table]:
    """Every table that the evaluated models allow, by name, in reading order."""
    made = (
        table1(evaluation),
        table2(evaluation),
        compared_models(evaluation),
        against_each(evaluation),
        retention_table(evaluation),
        components(evaluation),
        tested(evaluation),
        tested_against(evaluation),
        *suites_tables(evaluation),
        alignment(evaluation),
        costs(evaluation),
        stages(evaluation),
    )
    return {table.name: table for table in made if table is not None}


def table1(evaluation: Evaluation) -> Table | None:
    """The reference paper's Table 1: each language's base and fine-tuned expert."""
    return _gains(
        evaluation,
        EXPERT,
        "table-1",
        "Base and fine-tuned expert, language by language",
        "Expert",
        "CodeBLEU of held-out tasks with bootstrap 95 % intervals; exact match and pass@1 before "
        "and after fine-tuning. Each language is answered by its own expert.",
    )


def table2(evaluation: Evaluation) -> Table | None:
    """The reference paper's Table 2: all languages, base and mixture."""
    return _gains(
        evaluation,
        MIXTURE,
        "table-2",
        "Base and mixture of experts",
        "Mixture",
        "CodeBLEU with bootstrap 95 % intervals. One mixture answers every language and chooses "
        "the expert itself.",
    )


def _gains(
    evaluation: Evaluation, tuned: str, name: str, title: str, column: str, foot: str
) -> Table | None:
    base, model = evaluation.models.get(BASE), evaluation.models.get(tuned)
    if base is None or model is None:
        return None
    gains = ratios(evaluation, tuned, BASE)
    common = [language for language in evaluation.languages if language in model.languages]
    rows = []
    for language in [*evaluation.languages, ALL]:
        before, after = (
            over_languages(m, common) if language == ALL else m.languages.get(language)
            for m in (base, model)
        )
        rows.append(
            (
                Cell(language_label(language)),
                _count(after or before),
                _codebleu(before),
                _codebleu(after, strong=True),
                _ratio(gains.get(language)),
                _change(before, after, "exact"),
                _change(before, after, "pass_at_1"),
            )
        )
    if len(common) < len(evaluation.languages):
        foot += f" All: the {len(common)} languages that both answered."
    columns = ("Language", "Tasks", "Base", column, "Gain", "Exact", "pass@1")
    return Table(name, title, columns, tuple(rows), foot, language_label(ALL))


def compared_models(evaluation: Evaluation) -> Table:
    """Every model: quality, and what CodeBLEU does not show."""
    best = max(model.total.codebleu for model in evaluation.models.values())
    rows = []
    for name, model in evaluation.models.items():
        total = model.total
        rows.append(
            (
                _model(name),
                Cell(
                    score(total.codebleu),
                    interval(total.codebleu_interval),
                    strong=total.codebleu == best,
                ),
                *(_plain(model.languages.get(language)) for language in evaluation.languages),
                Cell(percent(total.exact), _percents(total.exact_interval)),
                _pass(total),
                Cell(
                    percent(total.wrong_language),
                    _percents(share_interval(total.wrong_language, total.n)),
                ),
                Cell(str(total.empty)),
                Cell(score(total.floor)),
            )
        )
    most = max(model.total.n for model in evaluation.models.values())
    fewer = "".join(
        f" {model_label(name)}: over its {model.total.n:,} of {most:,} tasks."
        for name, model in evaluation.models.items()
        if model.total.n < most
    )
    languages = (language_label(name) for name in evaluation.languages)
    return Table(
        "models",
        "Every compared model",
        (
            "Model",
            "CodeBLEU",
            *languages,
            "Exact",
            "pass@1",
            "Wrong language",
            "Empty",
            "Floor",
        ),
        tuple(rows),
        "Floor: what the model's answers score against other tasks' references; a score near it "
        "says nothing about the task. Empty: answers without any code. Wrong language: answers "
        "recognised as another language than the one asked for (Wilson interval)." + fewer,
        model_label(MIXTURE),
    )


def retention_table(evaluation: Evaluation) -> Table | None:
    """How much of each expert the mixture keeps."""
    kept = ratios(evaluation, MIXTURE, EXPERT)
    if not kept:
        return None
    perfect = ratios(evaluation, ORACLE, EXPERT)
    expert, mixture = evaluation.models[EXPERT], evaluation.models[MIXTURE]
    rows = []
    for name in [*evaluation.languages, ALL]:
        ours, theirs = (
            over_languages(m, expert.languages) if name == ALL else m.languages.get(name)
            for m in (mixture, expert)
        )
        if name in kept:
            cells = (_codebleu(theirs), _codebleu(ours), _share(kept[name], strong=True))
        else:
            cells = (_codebleu(theirs), _codebleu(ours), Cell("no own expert", muted=True))
        last = (_share(perfect.get(name)),) if perfect else ()
        rows.append((Cell(language_label(name)), *cells, *last))
    return Table(
        "retention",
        "Retention: mixture over own expert",
        (
            "Language",
            "Expert",
            "Mixture",
            "Retention",
            *(("With perfect routing",) if perfect else ()),
        ),
        tuple(rows),
        "Intervals of a retention are of the ratio of means, resampled over tasks. All: the tasks "
        "that both answered.",
        language_label(ALL),
    )


def components(evaluation: Evaluation) -> Table:
    """CodeBLEU taken apart."""
    rows = tuple(
        (
            _model(name),
            Cell(score(model.total.codebleu), strong=True),
            Cell(score(model.total.ngram_match)),
            Cell(score(model.total.weighted_ngram_match)),
            Cell(score(model.total.syntax_match)),
            Cell(score(model.total.dataflow_match)),
        )
        for name, model in evaluation.models.items()
    )
    return Table(
        "components",
        "CodeBLEU by component, all languages",
        ("Model", "CodeBLEU", "n-gram", "Weighted n-gram", "Syntax", "Data flow"),
        rows,
        "A mean over the tasks whose reference has the component.",
    )


def tested(evaluation: Evaluation) -> Table | None:
    """pass@1 by model and language; None when no test ran."""
    if all(model.total.pass_at_1 is None for model in evaluation.models.values()):
        return None
    rows = tuple(
        (
            _model(name),
            *(
                _pass(model.languages[language]) if language in model.languages else _absent()
                for language in evaluation.languages
            ),
            _pass(model.total, strong=True),
        )
        for name, model in evaluation.models.items()
    )
    languages = (language_label(name) for name in evaluation.languages)
    return Table(
        "tested",
        "pass@1: programs that pass their task's tests",
        ("Model", *languages, language_label(ALL)),
        rows,
        "One answer per task, Wilson's 95 % intervals.",
        model_label(MIXTURE),
    )


def costs(evaluation: Evaluation) -> Table:
    """What a model costs to run."""
    base = evaluation.models.get(BASE)
    speed = base.cost.tokens_per_s if base else None
    rows = []
    for name, model in evaluation.models.items():
        cost = model.cost
        relative = ""
        if speed and cost.tokens_per_s and name != BASE:
            relative = f"{cost.tokens_per_s / speed:.2f} of base"
        rows.append(
            (
                _model(name),
                Cell(score(model.total.codebleu), strong=True),
                Cell(quantity(cost.active_parameters)),
                Cell(quantity(cost.total_parameters)),
                Cell(quantity(cost.flops_per_token)),
                Cell(DASH if cost.tokens_per_s is None else f"{cost.tokens_per_s:,.0f}", relative),
                Cell(DASH if cost.peak_memory_mb is None else f"{cost.peak_memory_mb:,.0f} MB"),
            )
        )
    return Table(
        "cost",
        "Cost beside quality",
        (
            "Model",
            "CodeBLEU",
            "Active parameters",
            "Total parameters",
            "FLOPs per token",
            "Tokens/s",
            "Peak memory",
        ),
        tuple(rows),
        "FLOPs: of a forward pass, 2 for each active weight that multiplies; attention's own "
        "products grow with the context and are the same for all. Tokens per second: while "
        "generating the answers of this evaluation, on this machine. Peak memory: weights, cache "
        "and activations, above what the process held without the model.",
        model_label(MIXTURE),
    )


def stages(evaluation: Evaluation) -> Table | None:
    """Seconds per kind of stage, its members beside it."""
    if not evaluation.stages:
        return None
    kinds: dict[str, list[Stage]] = {}
    for stage in evaluation.stages:
        kinds.setdefault(stage.name.partition("/")[0], []).append(stage)
    total = sum(stage.seconds for stage in evaluation.stages)
    rows = []
    for kind, members in kinds.items():
        seconds = sum(stage.seconds for stage in members)
        inner: dict[str, float] = defaultdict(float)
        for stage in members:
            for name in stage.name.split("/")[1:2]:
                inner[name] += stage.seconds
        note = ", ".join(f"{name} {duration(spent)}" for name, spent in inner.items())
        share = percent(seconds / total, 0) if total else DASH
        rows.append((Cell(kind, note), Cell(duration(seconds)), Cell(share)))
    rows.append((Cell("Total"), Cell(duration(total), strong=True), Cell("")))
    seeds = sorted({stage.seed for stage in evaluation.stages if stage.seed is not None})
    seed = f"Seed: {', '.join(map(str, seeds))}." if seeds else ""
    return Table("stages", "Time per stage", ("Stage", "Time", "Share"), tuple(rows), seed, "Total")


def _model(name: str) -> Cell:
    return Cell(model_label(name), name if model_label(name) != name else "")


def _count(scores: Scores | None) -> Cell:
    return Cell(DASH if scores is None else f"{scores.n:,}")


def _codebleu(scores: Scores | None, strong: bool = False) -> Cell:
    if scores is None:
        return _absent()
    return Cell(score(scores.codebleu), interval(scores.codebleu_interval), strong)


def _plain(scores: Scores | None) -> Cell:
    return _absent() if scores is None else Cell(score(scores.codebleu))


def _ratio(value: Ratio | None) -> Cell:
    if value is None:
        return _absent()
    return Cell(times(value.value), interval(value.interval, 2))


def _share(value: Ratio | None, strong: bool = False) -> Cell:
    if value is None:
        return _absent()
    return Cell(percent(value.value), _percents(value.interval), strong)


def _percents(pair: Interval | None) -> str:
    return interval(pair, 1, 100)


def _pass(scores: Scores, strong: bool = False) -> Cell:
    if scores.pass_at_1 is None:
        return Cell(NOT_RUN, muted=True)
    return Cell(percent(scores.pass_at_1), _percents(scores.pass_at_1_interval), strong)


def _absent() -> Cell:
    return Cell(DASH, muted=True)


def _change(before: Scores | None, after: Scores | None, key: str) -> Cell:
    """`4 % -> 80 %` with the interval of the second."""
    if after is None:
        return _absent()
    value = getattr(after, key)
    if value is None:
        return Cell(NOT_RUN, muted=True)
    earlier = getattr(before, key) if before else None
    start = f"{percent(earlier, 0)} \N{RIGHTWARDS ARROW} " if earlier is not None else ""
    return Cell(start + percent(value, 0), interval(getattr(after, f"{key}_interval"), 0, 100))
