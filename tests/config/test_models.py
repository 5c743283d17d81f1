"""What the models cost whoever starts confsync: nothing of them is parsed again from its text."""

from __future__ import annotations

import confsync.config.models  # noqa: F401 - all models there are
from confsync.config.fields import Model


def models(of=Model):
    for model in of.__subclasses__():
        yield model
        yield from models(model)


def test_no_annotation_of_a_model_is_text_that_pydantic_would_have_to_parse():
    texts = [
        f"{model.__qualname__}.{name}"
        for model in models()
        for name, annotation in vars(model).get("__annotations__", {}).items()
        if isinstance(annotation, str)
    ]

    assert len(list(models())) > 20
    assert texts == []


def test_no_default_is_made_by_a_built_in_whose_signature_python_would_have_to_parse():
    factories = {
        f"{model.__qualname__}.{name}": field.default_factory
        for model in models()
        for name, field in model.model_fields.items()
        if field.default_factory is not None
    }
    parsed = [name for name, made_by in factories.items() if getattr(made_by, "__text_signature__", None)]

    assert "Sync.reload" in factories
    assert parsed == []
