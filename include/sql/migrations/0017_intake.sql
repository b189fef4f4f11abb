-- Intake: which file a row stands for, and what lies in the landing folder without being taken in.

ALTER TABLE shop.files ADD COLUMN inode numeric(20);

COMMENT ON COLUMN shop.files.inode IS
    'Inode of the file when it was admitted: tells it from another delivery of the same name. NULL before this column was added.';

ALTER TABLE shop.runs
ADD COLUMN ignored_files bigint NOT NULL DEFAULT 0,
ADD COLUMN ignored_since timestamptz,
ADD COLUMN ignored_examples text [] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN shop.runs.ignored_files IS
    'Entries of the landing folder that are not taken in and have not changed for a while: another suffix, a folder, an unfinished upload.';
COMMENT ON COLUMN shop.runs.ignored_since IS 'Last change of the oldest of them.';
COMMENT ON COLUMN shop.runs.ignored_examples IS 'Names of the oldest of them.';
