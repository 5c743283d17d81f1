"""Read all -> render -> plan -> apply -> record; the work queue and its workers that repeat it until all agrees."""
