"""Makes the README's table of what the official clients' runs have shown.

Usage: `make clients-table`, or the lines of the `*_pairs` programs on standard input.
"""

import collections
import sys

from pairs import PROVIDERS

TITLES = ["OpenAI chat", "Azure", "OpenAI responses", "Anthropic", "Gemini"]


def main(lines):
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in lines:
        mark, *rest = line.strip().split("\t")
        mark = mark.split(" ")[-1]  # the first line stands behind the test's name
        if mark in ("ok", "FAIL") and len(rest) >= 4:
            client, endpoint, provider, _, *detail = rest
            rows[client, endpoint][provider].append((mark, "refused" in "".join(detail)))
    titles = ["Client", "Endpoint", *TITLES, "Gateway itself"]
    print("| " + " | ".join(titles) + " |")
    print("|" + " --- |" * len(titles))
    for (client, endpoint), cells in sorted(rows.items()):
        shown = [cell(cells.get(provider, [])) for provider in [*PROVIDERS, "gateway"]]
        print("| " + " | ".join([client, f"`{endpoint}`", *shown]) + " |")


def cell(cases):
    """Passed of all, and how many of these are refusals by name."""
    if not cases:
        return ""
    passed = sum(mark == "ok" for mark, _ in cases)
    refusals = sum(mark == "ok" and refused for mark, refused in cases)
    return f"{passed}/{len(cases)}" + (f" ({refusals} refused by name)" if refusals else "")


if __name__ == "__main__":
    main(sys.stdin)
