"""A process with an environment's variables and files: `execution` is all of one; nothing is left when it ends."""
