"""Replace generated blocks, each between two markers, within hand-written pages."""

from __future__ import annotations


def replace_block(page: str, begin: str, end: str, block: str) -> str:
    """Return the page with the block between the markers replaced.

    Parameters
    ----------
    page:
        The text of the page.
    begin, end:
        The markers, each a whole line without its line end, and each once in the page.
    block:
        The new text between them.

    Raises
    ------
    ValueError
        When the page lacks a marker.
    """
    before, found, rest = page.partition(f"{begin}\n")
    _, found_end, after = rest.partition(f"{end}\n")
    if not found or not found_end:
        missing = end if found else begin
        raise ValueError(f"the page lacks the line {missing!r}: put both markers where the block belongs")
    return f"{before}{begin}\n\n{block.strip()}\n\n{end}\n{after}"
