"""One vocabulary out of several, and the rows of each model's embedding that its tokens are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codemoe.errors import UserError
from codemoe.merge.model import HEAD, Model
from codemoe.merge.sources import Rows, Source
from codemoe.merge.tokens import Tokenizer, rows_of

_BY_VOCABULARY = (
    "embed_tokens.weight",
    "wte.weight",
    "embed_in.weight",
    "embed_out.weight",
    "word_embeddings.weight",
    HEAD,
    "lm_head.bias",
)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of the result. `rows[text][i]` is the row of that model's embedding that row i
    is taken from, -1 where the model has none."""

    owner: Model  # whose tokenizer files the result has
    added: tuple[str, ...]  # tokens beyond the owner's
    size: int
    rows: Mapping[str, np.ndarray]

    def apply(
        self, name: str, sources: Sequence[tuple[Model, Source]], base: Model | None
    ) -> list[Source]:
        """The sources of one tensor, brought to this vocabulary where the tensor goes by it.

        A token that a model lacks has the base's row there, or else the mean of the others'.
        """
        if not name.endswith(_BY_VOCABULARY):
            return [source for _, source in sources]
        lacking = {
            row
            for model, _ in sources
            for row in np.flatnonzero(self.rows[model.text] < 0).tolist()
        }
        others: dict[int, list[tuple[Source, int]]] = {}
        for row in lacking:
            having = [(m, s, int(self.rows[m.text][row])) for m, s in sources]
            having = [entry for entry in having if entry[2] >= 0]
            of_base = [entry for entry in having if base is not None and entry[0] is base]
            others[row] = [(source, at) for _, source, at in of_base or having]
        return [Rows(source, self.rows[model.text], others) for model, source in sources]


def join(source: str, owner: Model, models: Sequence[Model]) -> Vocabulary | None:
    """The vocabulary that `tokenizer_source` asks for; None when all models have it already.

    `owner` is the base, or the model that was named; "union" adds the others' tokens to its own.
    """
    tokenizers = {model.text: Tokenizer(model.folder) for model in models}
    own = tokenizers[owner.text]
    alike = all(own.same_vocabulary(tokenizers[m.text]) for m in models)
    if alike and len({rows_of(model) for model in models}) == 1:
        return None
    if own.vocabulary is None:
        raise UserError(
            f"the tokens of {owner.text} cannot be listed: it has no tokenizer.json",
            "save its tokenizer with a recent version of transformers",
        )
    tokens = dict(own.vocabulary)
    added: list[str] = []
    for model in models if source == "union" else ():
        for token in sorted(tokenizers[model.text].vocabulary or (), key=_id_in(tokenizers, model)):
            if token not in tokens:
                tokens[token] = max(max(tokens.values()) + 1, len(tokens))
                added.append(token)
    size = max(rows_of(owner), max(tokens.values()) + 1)
    rows = {m.text: _rows(m, tokenizers[m.text], tokens, own, size) for m in models}
    return Vocabulary(owner, tuple(added), size, rows)


def _id_in(tokenizers: Mapping[str, Tokenizer], model: Model) -> Any:
    vocabulary = tokenizers[model.text].vocabulary or {}
    return lambda token: vocabulary[token]


def _rows(
    model: Model, tokenizer: Tokenizer, tokens: Mapping[str, int], own: Tokenizer, size: int
) -> np.ndarray:
    has = rows_of(model)
    if tokenizer.same_vocabulary(own):
        rows = np.arange(size)
    else:
        vocabulary = tokenizer.vocabulary
        if vocabulary is None:
            raise UserError(
                f"the tokens of {model.text} cannot be listed: it has no tokenizer.json",
                "save its tokenizer with a recent version of transformers",
            )
        rows = np.full(size, -1)
        for token, row in tokens.items():
            rows[row] = vocabulary.get(token, -1)
    rows[rows >= has] = -1
    return rows
