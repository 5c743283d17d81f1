"""The command line: parses arguments, prints results on stdout and the rest on stderr, chooses the exit status."""
