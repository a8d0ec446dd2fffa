"""The bytes of a token: with bytes, a client can put half characters together."""

from functools import cache
from typing import Any


def token_bytes(tokenizer: Any, token_id: int) -> list[int]:
    name = str(tokenizer.convert_ids_to_tokens(token_id))
    if name.startswith("<0x") and name.endswith(">") and len(name) == 6:
        return [int(name[3:5], 16)]  # SentencePiece's byte fallback
    text = str(tokenizer.decode([token_id]))
    table = _byte_of_character()
    if "\ufffd" in text and all(character in table for character in name):
        return [table[character] for character in name]
    return list(text.encode())


@cache
def _byte_of_character() -> dict[str, int]:
    """GPT-2's byte-level alphabet: printable bytes are themselves, the others stand from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + i): byte for i, byte in enumerate(others)}
