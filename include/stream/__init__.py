"""The stream outside Spark: admission of files, the CSV reader, the batch transaction, its status and its control."""
