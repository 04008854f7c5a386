"""What is measured, with peers beside it. Never part of the test run."""
