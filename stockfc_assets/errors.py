"""Errors that a user can cause. Each message names the file or input, the key, the value, and what to do."""


class StockfcError(Exception):
    """Base of every error that a user can cause and mend; the CLI prints its message without a traceback."""


class ConfigError(StockfcError):
    """A configuration file or environment variable cannot be used as it stands."""


class InputError(StockfcError):
    """An argument (session, month, ticker) or an input file cannot be used as it stands."""


class DataError(StockfcError):
    """Stored or fetched data break one of the laws of docs/data-contracts.md."""


class StorageError(StockfcError):
    """The folder or bucket refused, failed or is full. What was stored before still stands."""

    exit_code = 1


class ModelError(StockfcError):
    """A model file is missing, altered, or belongs to other features."""


class RunError(StockfcError):
    """A Dagster run failed; the message holds what its steps and checks said."""

    exit_code = 1
