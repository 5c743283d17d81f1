"""Templates and data maps -> artifacts, recording every key read and whether it is sensitive. No I/O but template files."""
