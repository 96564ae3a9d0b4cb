"""Answers as they are on the wire, held against botocore's output shapes: its parser drops silently what a shape hasn't."""

import json


def strict(client):
    """The client, which from now on refuses answers with members or types that the operation's shape doesn't have."""
    client.meta.events.register("before-parse", _check)
    return client


def _check(operation_model, response_dict, **_):
    if response_dict["status_code"] < 300 and response_dict["body"] and operation_model.output_shape:
        payload = operation_model.output_shape.serialization.get("payload")
        if payload is None:
            _check_shape(operation_model.output_shape, json.loads(response_dict["body"]), operation_model.name)


def _check_shape(shape, value, place):
    kind = shape.type_name
    if kind == "structure":
        wire = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name, inner in value.items():
            assert name in wire, f"{place} has no member {name}"
            assert inner is not None, f"{place}.{name} is null"
            _check_shape(wire[name], inner, f"{place}.{name}")
    elif kind == "list":
        assert isinstance(value, list), place
        for at, inner in enumerate(value):
            _check_shape(shape.member, inner, f"{place}[{at}]")
    elif kind == "map":
        assert isinstance(value, dict), place
        for name, inner in value.items():
            _check_shape(shape.value, inner, f"{place}[{name!r}]")
    else:
        types = {
            "string": str, "boolean": bool, "integer": int, "long": int, "double": (int, float), "float": (int, float),
            "timestamp": (int, float) if shape.serialization.get("timestampFormat") != "iso8601" else str, "blob": str,
        }
        assert isinstance(value, types[kind]), f"{place}: {value!r} is no {kind}"
        assert not (kind in ("integer", "long") and isinstance(value, bool)), place
        assert not getattr(shape, "enum", None) or value in shape.enum, f"{place}: {value!r} isn't of {shape.enum}"
