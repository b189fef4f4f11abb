"""Define the faults of a file as a whole; such a file is quarantined, and none of its rows are loaded.

There is one exception. When the disk fails while a large file is being loaded in slices, the rows of the earlier slices
stay, and the balance of the file counts them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileFault:
    """A reason to quarantine a file.

    Parameters
    ----------
    code:
        Stored in ``shop.files.fault``.
    message:
        What it means and what to do, for the operator who finds the file in quarantine.
    """

    code: str
    message: str


FILE_FAULTS = {
    fault.code: fault
    for fault in (
        FileFault("header_missing", "The first line is not a header. Add one that names every column of the contract."),
        FileFault("separator_not_comma", "The separator of the fields is not a comma. Deliver the file with commas."),
        FileFault("separator_line", "The first line is a hint for spreadsheets (sep=). Remove it and deliver again."),
        FileFault("header_column_missing", "The header lacks columns of the contract. Add them and deliver again."),
        FileFault("header_column_repeated", "The header names a column twice. Keep one of them and deliver again."),
        FileFault("header_column_unnamed", "The header has columns without a name. Name or remove them."),
        FileFault("header_too_wide", "The header is too long for a table. Deliver a CSV file with its own header."),
        FileFault("not_a_regular_file", "Only regular files are read. Deliver a file, not a link, pipe or folder."),
        FileFault("not_utf8", "The file is not UTF-8. Convert it (for example with iconv) and deliver again."),
        FileFault("gzip_damaged", "The gzip stream is truncated or damaged. Compress and deliver it again."),
        FileFault("too_large", "Unpacked, the file exceeds SHOPSTREAM_MAX_FILE_BYTES. Split it and deliver the parts."),
        FileFault("poison", "Loading it failed repeatedly, even alone. Correct what the error names and redeliver."),
        FileFault("unreadable", "The file could not be read. Check its permissions and the disk, and deliver again."),
    )
}
