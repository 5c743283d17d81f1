"""What confsync wrote, when, from which revisions; what it owns and which reloads it owes. SQLite, one directory."""
