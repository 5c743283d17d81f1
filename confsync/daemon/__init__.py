"""`confsync run`: signals, timers, file watches and hot reload around the controller; one life for every thread."""
