"""The drivers that come with confsync, one package for each; they need confsync.driver and nothing else of it."""
