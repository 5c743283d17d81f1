"""Templates and data maps -> artifacts; records every key read and whether it is secret. Reads template files only."""
