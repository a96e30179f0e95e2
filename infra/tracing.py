"""Where traces go: an OTLP collector over HTTP, by OpenTelemetry's own environment variables; nowhere without them."""

import os

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def start(process: str) -> None:
    """Trace this process, if an endpoint is set. What is not sent yet is sent when the process ends."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from schemas.tracing import use

    kind = process.partition("-")[0]
    resource = Resource.create({"service.name": f"carbonledger.{kind}", "service.instance.id": process})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider.get_tracer("carbonledger"))
