"""The command line: parses arguments, prints results on stdout and everything else on stderr, chooses the exit status."""
