import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import given

from schemas import codec
from schemas.registry import own
from schemas.server import CONTENT_TYPE, RegistryServer
from schemas.topics import Topic, contracts
from tests.schemas.serving import serving
from tests.schemas.values import values

TOPICS = list(contracts())


@pytest.fixture(scope="module")
def server() -> Iterator[RegistryServer]:
    with serving(RegistryServer("127.0.0.1", 0, own())) as server:
        yield server


@pytest.fixture
def client(server: RegistryServer) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": server.url, "max.retries": 0}) as client:
        yield client


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_confluents_deserializer_reads_what_the_codec_writes(server: RegistryServer, topic: Topic) -> None:
    client = SchemaRegistryClient({"url": server.url, "max.retries": 0})
    deserialize = AvroDeserializer(client)
    context = SerializationContext(topic.name, MessageField.VALUE)

    @given(values(codec.schema_json(topic.schema)))
    def same(value: object) -> None:
        assert deserialize(codec.encode(topic.schema, value), context) == value

    with client:
        same()


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_codec_reads_what_confluents_serializer_writes(server: RegistryServer, topic: Topic) -> None:
    client = SchemaRegistryClient({"url": server.url, "max.retries": 0})
    text = json.dumps(codec.schema_json(topic.schema))
    serialize = AvroSerializer(client, text, conf={"auto.register.schemas": False})
    context = SerializationContext(topic.name, MessageField.VALUE)

    @given(values(codec.schema_json(topic.schema)))
    def same(value: object) -> None:
        assert codec.decode(topic.schema, serialize(value, context)) == value

    with client:
        same()


def test_confluents_client_sees_every_subject_and_version(client: SchemaRegistryClient) -> None:
    for topic in TOPICS:
        subject = f"{topic.name}-value"
        assert subject in client.get_subjects()
        latest = client.get_latest_version(subject)
        assert latest.schema_id == codec.schema_ids()[topic.schema]
        assert latest.version == client.get_versions(subject)[-1]
        assert client.get_version(subject, latest.version).schema_id == latest.schema_id
        assert client.lookup_schema(subject, latest.schema).version == latest.version
        assert client.get_compatibility(subject) == client.get_compatibility() == "FULL_TRANSITIVE"
        assert client.get_mode(subject) == client.get_global_mode() == "READONLY"
        assert client.get_schema_versions(latest.schema_id)[0].subject == subject
        assert client.get_subjects_by_schema_id(latest.schema_id) == [subject]


def test_confluents_client_understands_what_is_refused(client: SchemaRegistryClient) -> None:
    with pytest.raises(SchemaRegistryError) as unknown:
        client.get_schema(99_999)
    assert (unknown.value.http_status_code, unknown.value.error_code) == (404, 40403)
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema("alerts-value", Schema('"string"', "AVRO"))
    assert (refused.value.http_status_code, refused.value.error_code) == (405, 42205)


def request(server: RegistryServer, method: str, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port)) as connection:
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        return response, response.read()


def test_answers_are_json_of_the_registrys_type(server: RegistryServer) -> None:
    response, body = request(server, "GET", "/config")
    assert (response.status, response.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert json.loads(body) == {"compatibilityLevel": "FULL_TRANSITIVE"}


def test_a_head_request_has_no_body(server: RegistryServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection, connection.makefile("rb") as stream:
        connection.sendall(b"HEAD /config HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = stream.read()
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "headers", [{"Content_Length": "1048577"}, {"Content_Length": "-1"}, {"Transfer_Encoding": "chunked"}]
)
def test_a_body_of_unknown_or_too_great_length_is_not_read(server: RegistryServer, headers: dict[str, str]) -> None:
    response, body = request(server, "POST", "/subjects/alerts-value", **headers)
    assert response.status == json.loads(body)["error_code"] == 400


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_stop(stop: signal.Signals) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "schemas.server"]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with SchemaRegistryClient({"url": url, "max.retries": 0}) as client:
                assert client.get_latest_version("ledger.blocks-value").schema_id == codec.schema_ids()["block"]
            process.send_signal(stop)
            assert process.wait(30) == 0
        finally:
            process.kill()
