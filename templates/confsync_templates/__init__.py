"""The stock template library: `include`, `extends` and `import` find these after a project's own templates."""
