"""Logging in to Vault: one module for each auth method; `options.py` lists them, `method.py` says what one is."""
