"""The buffer: sealed spool files are the record, SQLite is their index, queue and outbox."""
