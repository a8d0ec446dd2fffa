"""Runs in the peer's virtual environment: scores rows with the codebleu package, pair by pair.

PEER_PYTHON benchmarks/codebleu_peer.py ROWS.json OUT.json
"""

import json
import logging
import sys
import time


def main(rows_path: str, out_path: str) -> None:
    from codebleu import calc_codebleu

    logging.disable(logging.CRITICAL)
    with open(rows_path, encoding="utf-8") as file:
        rows = json.load(file)
    names = {"csharp": "c_sharp"}
    for language in sorted({row["language"] for row in rows}):  # grammars are loaded before
        calc_codebleu(["a"], ["a"], names.get(language, language))
    scores = []
    wall, cpu = time.perf_counter(), time.process_time()
    for row in rows:
        language = names.get(row["language"], row["language"])
        score = calc_codebleu([row["reference"]], [row["prediction"]], language)
        scores.append(
            [
                score["codebleu"],
                score["ngram_match_score"],
                score["weighted_ngram_match_score"],
                score["syntax_match_score"],
                score["dataflow_match_score"],
            ]
        )
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    with open(out_path, "w", encoding="utf-8") as file:
        json.dump({"seconds": seconds, "scores": scores}, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
