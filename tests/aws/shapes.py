"""Answers have to be of the shapes of botocore's models: its parser passes over what it doesn't know."""

import json

# What a domain can be told in version 1 is answered in version 2, whose model has fewer of these names.
WIDER = {("SecurityPolicy", ".domainNameConfigurations[].securityPolicy"), ("SecurityPolicy", ".items[].domainNameConfigurations[].securityPolicy")}

TYPES = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
    "blob": str,
}


def check_answers(client):
    """Fails whatever call of the client is answered with members or values that its model doesn't have."""
    client.meta.events.register("before-parse.*.*", _check)
    return client


def _check(operation_model, response_dict, **_):
    shape, body = operation_model.output_shape, response_dict["body"]
    if response_dict["status_code"] >= 300 or not body or not shape or "payload" in shape.serialization:
        return
    errors = list(_errors(shape, json.loads(body), ""))
    assert not errors, f"{operation_model.name}: {'; '.join(errors)}"


def _errors(shape, value, path):
    if value is None:
        return
    kind = shape.type_name
    if kind == "structure":
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name, inner in value.items():
            if name in members:
                yield from _errors(members[name], inner, f"{path}.{name}")
            else:
                yield f"{path}.{name} is no member of {shape.name}"
    elif kind == "map":
        for inner in value.values():
            yield from _errors(shape.value, inner, f"{path}{{}}")
    elif kind == "list":
        for inner in value:
            yield from _errors(shape.member, inner, f"{path}[]")
    elif not isinstance(value, TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
        yield f"{path} is {value!r}, no {kind}"
    elif getattr(shape, "enum", None) and value not in shape.enum and (shape.name, path) not in WIDER:
        yield f"{path} is {value!r}, not one of {shape.enum}"
