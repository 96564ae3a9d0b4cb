"""Watches boto3 clients by botocore's own models: which operations were answered, and how."""

import re
from collections import defaultdict

import botocore.session

# Operations of the developer portal, which Turnpike refuses by name.
_PORTAL = re.compile("Portal|Product")


def operations():
    """All operations that Turnpike is to have, as pairs of service and name."""
    session = botocore.session.get_session()
    services = ("apigateway", "apigatewayv2")
    models = [(service, session.get_service_model(service)) for service in services]
    return [(service, name) for service, model in models for name in model.operation_names if not _PORTAL.search(name)]


def documented_errors(service, name):
    """The codes of the errors that the model names for an operation."""
    model = botocore.session.get_session().get_service_model(service).operation_model(name)
    return {shape.name for shape in model.error_shapes}


def status_of_success(service, name):
    """What the model says; where it says nothing, 200."""
    model = botocore.session.get_session().get_service_model(service).operation_model(name)
    return model.http.get("responseCode", 200)


class Watch:
    """What became of the calls of the clients that it was given: statuses of success and codes of errors, by operation."""

    def __init__(self):
        self.statuses = defaultdict(set)
        self.errors = defaultdict(set)

    def add(self, client):
        client.meta.events.register("before-parse", self._answered)
        return client

    def _answered(self, operation_model, response_dict, **_):
        service = operation_model.service_model.service_name
        operation, status = (service, operation_model.name), response_dict["status_code"]
        if status >= 300:
            kind = response_dict["headers"].get("x-amzn-errortype", "")
            self.errors[operation].add(kind.split(":")[0])
            return
        self.statuses[operation].add(status)
