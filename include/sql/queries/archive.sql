-- name: sizes
-- How many bytes were read of the given files, if the ledger still has them.
SELECT file_id, name, size_bytes FROM shop.files WHERE file_id = ANY(%(file_ids)s);

-- name: newest_logs
SELECT log_path FROM shop.runs WHERE log_path IS NOT NULL ORDER BY epoch DESC LIMIT %(runs)s;
