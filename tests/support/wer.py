"""Word error rate: how far a transcript is from what was said."""

import re


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def word_error_rate(said: str, heard: str) -> float:
    """Substitutions, deletions and insertions per word said (Levenshtein over words); case and punctuation do not count."""
    reference, hypothesis = words(said), words(heard)
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, start=1):
        previous, row[0] = row[0], i
        for j, got in enumerate(hypothesis, start=1):
            cost = min(row[j] + 1, row[j - 1] + 1, previous + (expected != got))
            previous, row[j] = row[j], cost
    return row[-1] / len(reference)
