"""Reading: the bytes of a delivered file become records, and records become text fields with their line numbers.

``delivered`` opens a file, ``records`` finds the boundaries of records, ``header`` maps columns, ``csv_reader`` yields
Arrow batches, and ``raw_lines`` fetches rejected rows as they were delivered. Imports no other room of the stream.
"""
