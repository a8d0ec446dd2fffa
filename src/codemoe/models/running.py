"""Rows that are answered together, each from its own prompt: others may join between two steps.

One loop for `generate_batch` and the server. Rows do not influence each other: each has its limit,
its expert, its sampling and its random numbers, and leaves when it has ended.
"""

# B batch, L layers, E experts, V vocabulary

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import torch

from codemoe.data.prompt import EncodedPrompt
from codemoe.models.decoding import Decoder, left_pad
from codemoe.models.fences import Fences
from codemoe.models.load import CodeModel
from codemoe.models.prefill import Start, start, token_routing
from codemoe.models.routes import Route
from codemoe.models.sampling import choose
from codemoe.models.texts import Text, TokenLogprob

# Below this share of unfinished rows, dropping the finished ones pays for copying the cache.
_WORTH_DROPPING = 0.75


def begin(model: CodeModel, prompts: Sequence[EncodedPrompt]) -> Decoder:
    """These prompts as a batch, not read yet."""
    return Decoder(model.model, left_pad(prompts, _pad_id(model), model.model.device))


def _pad_id(model: CodeModel) -> int:
    pad_id = model.tokenizer.pad_token_id
    assert isinstance(pad_id, int)
    return pad_id


def by_marker(prompts: Sequence[EncodedPrompt]) -> list[list[int]]:
    """Rows by the number of tokens of their markers. Read in one batch, a router would have to
    decide when the longest marker begins, before shorter ones' instructions have been read."""
    groups: dict[int, list[int]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        groups[len(prompt.input_ids) - prompt.marker_start].append(row)
    return list(groups.values())


class Running:
    """A batch in progress; `texts` are its rows. Token gates steer all of its rows or none."""

    def __init__(self, model: CodeModel, by_token: bool = False) -> None:
        self.model = model
        self.by_token = by_token
        self.texts: list[Text] = []
        self._decoder: Decoder | None = None
        self._logits_BV: torch.Tensor | None = None
        # One expert a row (zeros: the bare base), or what the last pass's token gates were.
        self._gates_B1E: torch.Tensor | None = None
        self._gates_BLE: torch.Tensor | None = None

    @torch.inference_mode()
    def admit(self, prompts: Sequence[EncodedPrompt], route: Route, texts: Sequence[Text]) -> None:
        """Read prompts that are routed alike, and let them join; what is asked for several times
        is read once. An error in reading leaves the rows that run as they were."""
        for rows in by_marker(prompts):
            wanted = [(prompts[row], route.experts[row : row + 1]) for row in rows]
            unique = list(dict.fromkeys(wanted))
            named = tuple(expert for _, experts in unique for expert in experts)
            decoder = begin(self.model, [prompt for prompt, _ in unique])
            begun = start(self.model, decoder, replace(route, experts=named))
            if len(unique) < len(wanted):
                device = begun.logits_BV.device
                again = torch.tensor([unique.index(one) for one in wanted], device=device)
                decoder.keep(again)
                begun = begun.rows(again)
            self.join(decoder, begun, [texts[row] for row in rows])

    @torch.inference_mode()
    def join(self, decoder: Decoder, begun: Start, texts: Sequence[Text]) -> None:
        """Rows whose prompts have been read go on here."""
        for row, (text, choice) in enumerate(zip(texts, begun.choices, strict=True)):
            text.choice = choice
            if begun.gates_BLE is not None:
                text.gates_LE = begun.gates_BLE[row]
                text.counts_LE = torch.zeros_like(text.gates_LE)
            mixture = self.model.mixture
            if text.follow_fences and mixture is not None and choice is not None:
                languages = mixture.expert_of_language
                text.fences = Fences(self.model.tokenizer, languages, choice.expert)
        gates_B1E = self._gates_of(begun)
        if any(text.going for text in self.texts):
            self.drop_finished(1.0)
            assert self._decoder is not None
            assert self._logits_BV is not None
            self._decoder.join(decoder)
            self._logits_BV = torch.cat([self._logits_BV, begun.logits_BV])
            if gates_B1E is not None and self._gates_B1E is not None:
                self._gates_B1E = torch.cat([self._gates_B1E, gates_B1E])
            self.texts = [*self.texts, *texts]
        else:
            self._decoder, self._logits_BV, self._gates_B1E = decoder, begun.logits_BV, gates_B1E
            self.texts = list(texts)

    def _gates_of(self, begun: Start) -> torch.Tensor | None:
        mixture = self.model.mixture
        if mixture is None or self.by_token:
            return None
        logits_BV = begun.logits_BV
        if begun.gates_B1E is None:
            return torch.zeros(len(logits_BV), 1, len(mixture.experts), device=logits_BV.device)
        return begun.gates_B1E.to(logits_BV.device)

    @torch.inference_mode()
    def step(self) -> None:
        """Each row gets its next token; rows that have ended leave; what was written is read."""
        assert self._logits_BV is not None
        assert self._decoder is not None
        texts = self.texts
        token_B = choose(self._logits_BV, [t.sampling for t in texts], [t.generator for t in texts])
        logprobs = self._logprobs(token_B)
        for row, (text, token) in enumerate(zip(texts, token_B.tolist(), strict=True)):
            if text.going:
                expert = text.write(token, logprobs.get(row))
                if expert is not None:
                    self._hand_over(row, expert)
        kept = self.drop_finished(_WORTH_DROPPING)
        if self.texts:
            self._logits_BV = self._read(token_B if kept is None else token_B[kept])

    def drop_finished(self, share: float) -> torch.Tensor | None:
        """Drop rows that have ended, if at most this share has not; the rows that stay, if so."""
        going = [row for row, text in enumerate(self.texts) if text.going]
        if len(going) == len(self.texts) or len(going) > share * len(self.texts):
            return None
        assert self._logits_BV is not None
        assert self._decoder is not None
        kept = torch.tensor(going, dtype=torch.long, device=self._logits_BV.device)
        self.texts = [self.texts[row] for row in going]
        if not going:
            self._decoder = self._logits_BV = self._gates_B1E = None
            return kept
        self._decoder.keep(kept)
        self._logits_BV = self._logits_BV[kept]
        self._gates_B1E = None if self._gates_B1E is None else self._gates_B1E[kept]
        return kept

    def _read(self, token_B: torch.Tensor) -> torch.Tensor:
        assert self._decoder is not None
        mixture = self.model.mixture
        if mixture is not None and self.by_token:
            gates_BLE = torch.zeros(
                len(self.texts), len(mixture.token_routers), len(mixture.experts)
            )
            with token_routing(mixture, None, gates_BLE):
                logits_BV = self._decoder.step(token_B)
            for text, gates_LE in zip(self.texts, gates_BLE, strict=True):
                if text.going:
                    assert text.counts_LE is not None
                    text.gates_LE = gates_LE
                    text.counts_LE += gates_LE
            return logits_BV
        if mixture is None or all(text.choice is None for text in self.texts):
            return self._decoder.step(token_B)
        with mixture.layers.use(self._gates_B1E):
            return self._decoder.step(token_B)

    def _hand_over(self, row: int, expert: str) -> None:
        mixture = self.model.mixture
        assert mixture is not None
        assert self._gates_B1E is not None
        self._gates_B1E = self._gates_B1E.clone()
        self._gates_B1E[row] = 0
        self._gates_B1E[row, :, mixture.experts.index(expert)] = 1

    def _logprobs(self, token_B: torch.Tensor) -> dict[int, TokenLogprob]:
        """Of the chosen tokens, for the rows that want them."""
        assert self._logits_BV is not None
        rows = [i for i, t in enumerate(self.texts) if t.going and t.num_logprobs is not None]
        found = {}
        for row in rows:
            wanted = self.texts[row].num_logprobs
            assert wanted is not None
            logprobs_V = self._logits_BV[row].float().log_softmax(-1)
            token = int(token_B[row])
            values, ids = logprobs_V.topk(min(wanted, len(logprobs_V)))
            top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
            found[row] = TokenLogprob(token, float(logprobs_V[token]), top)
        return found
