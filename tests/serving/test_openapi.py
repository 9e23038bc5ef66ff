"""The OpenAPI document of a real server: its examples are answered, its schemas hold for what comes back."""

from __future__ import annotations

import re
import urllib.request
from urllib.error import HTTPError

import jsonschema
import msgspec
import pytest
from serving_wiring import build

from treadle.core.settings import ServingSettings


@pytest.fixture(scope="module")
def document(shared):
    return shared.call("/openapi.json")[1]


def operations(document, *, method):
    return {path: item[method] for path, item in document["paths"].items() if method in item}


def ask(server, path, *, body=None, media="application/json"):
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}", data=body, headers={"Content-Type": media}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read()
    except HTTPError as error:
        return error.code, error.headers.get_content_type(), error.read()


def refs(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        for part in value.values():
            yield from refs(part)
    elif isinstance(value, list):
        for part in value:
            yield from refs(part)


def schemas(value):
    if isinstance(value, dict):
        for name, part in value.items():
            if name == "schema":
                yield part
            else:
                yield from schemas(part)
    elif isinstance(value, list):
        for part in value:
            yield from schemas(part)


def test_every_route_is_in_it_and_every_schema_and_reference_is_sound(document, tmp_path):
    routes = build(tmp_path, ServingSettings()).routes
    made = {
        (r.method.lower(), r.path.replace("{endpoint}", name)) for r in routes for name in ("delay", "fares")
    }

    assert document["openapi"] == "3.1.0"
    assert {(method, path) for path, item in document["paths"].items() for method in item} == made
    assert len(list(schemas(document))) > 50
    for schema in schemas(document):
        jsonschema.Draft202012Validator.check_schema(schema)
    for ref in set(refs(document)):
        place = document
        for part in ref.removeprefix("#/").split("/"):
            place = place[part]
        assert place


def test_every_example_fits_its_schema_and_is_answered_as_said(document, shared):
    asked = 0
    for path, operation in operations(document, method="post").items():
        for media, content in operation.get("requestBody", {"content": {}})["content"].items():
            if "example" not in content:
                continue
            if media == "application/json":
                jsonschema.validate(
                    content["example"], content["schema"], cls=jsonschema.Draft202012Validator
                )
                body = msgspec.json.encode(content["example"])
            else:
                body = content["example"].encode()
            place = path.replace("{version}", "7") + ("?endpoint=fares" if path == "/invocations" else "")
            status, kind, answer = ask(shared, place, body=body, media=media)
            assert status == 200, (path, media, answer)
            said = operation["responses"]["200"]["content"][kind]
            jsonschema.validate(
                msgspec.json.decode(answer), said["schema"], cls=jsonschema.Draft202012Validator
            )
            asked += 1

    assert asked == 12  # of two endpoints: rows, v2 twice, MLflow as JSON and as CSV, outcomes


def test_pages_answer_what_is_said(document, shared):
    for path, operation in operations(document, method="get").items():
        status, kind, _ = ask(shared, path.replace("{version}", "7"))
        assert str(status) in operation["responses"], path
        assert kind in operation["responses"]["200"]["content"], path


def test_the_signature_types_the_body(document):
    content = operations(document, method="post")["/v1/endpoints/fares/predict"]["requestBody"]["content"]

    body = content["application/json"]["schema"]
    row = body["properties"]["rows"]["items"]
    assert body["properties"]["rows"]["maxItems"] == 1_000
    assert row["required"] == ["distance", "temp", "carrier"]
    assert row["properties"]["distance"]["type"] == "integer"
    assert row["properties"]["temp"]["type"] == ["number", "null"]
    assert row["properties"]["carrier"]["examples"] == ["AA", "UA"]
    assert set(content) == {"application/json", "application/vnd.apache.arrow.stream"}


def test_the_page_has_a_control_for_each_input_and_a_strict_policy(shared):
    with urllib.request.urlopen(f"http://127.0.0.1:{shared.port}/docs") as answer:
        text, headers = answer.read().decode(), answer.headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert re.findall(r'data-path="([^"]*)"', text) == [
        f"/v1/endpoints/{n}/predict" for n in ("delay", "fares")
    ]
    names = re.findall(r'name="(\w+)" data-kind="(\w+)"', text)
    assert names == [("distance", "integer"), ("temp", "float"), ("carrier", "category")] * 2
    assert set(re.findall(r'(?:src|href)="([^"]*)"', text)) == {
        "data:,",
        "/docs/form.css",
        "/docs/form.js",
        "/openapi.json",
    }
    assert len(re.findall(r"<label for=", text)) == len(re.findall(r"<(?:input|select) ", text))
    for path in ("/docs/form.css", "/docs/form.js"):
        assert ask(shared, path)[0] == 200


def test_with_a_token_the_page_shows_nothing_before_it_is_given(revise, launch):
    revise(("champion", 7, 1.0), name="secret-endpoint")
    server = launch(token="s3cret")

    status, _, page = ask(server, "/docs")

    assert status == 200
    assert b"secret-endpoint" not in page
    assert b"data-token" in page
    assert ask(server, "/docs/forms")[0] == 401
    assert ask(server, "/openapi.json")[0] == 401
    told = server.call("/openapi.json", headers={"Authorization": "Bearer s3cret"})[1]
    assert told["security"] == [{"token": []}]
    assert (
        "secret-endpoint" in server.call("/docs/forms", headers={"Authorization": "Bearer s3cret"})[1]["text"]
    )
