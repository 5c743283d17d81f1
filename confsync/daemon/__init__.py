"""`confsync run`: signals, timers, file watches and hot reload around the controller; one life cycle for every thread."""
