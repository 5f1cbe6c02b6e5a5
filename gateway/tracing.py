"""Traces: a span for each step of a question, and for each source that is asked. Nothing of a person is in them.

Without an SDK, which `telemetry.otlp_endpoint` sets up, they cost next to nothing. A stranger's `traceparent` is
not taken over: who asks does not decide what is traced here.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry import trace

from gateway.errors import ConfigurationError

_tracer = trace.get_tracer("kyosei")
_UNTRACED = nullcontext()
_is_traced = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
"""Whether something takes spans: a provider that was there before, or the one of `trace_to`."""


def trace_to(provider: trace.TracerProvider) -> None:
    """Let every step from now on be a span of this provider."""
    global _is_traced
    trace.set_tracer_provider(provider)
    _is_traced = True


def step(name: str, **attributes: str | int) -> AbstractContextManager[None]:
    """A span while the context lasts. `attributes`: names of sources and codes, never ids of people or consents.

    An exception's class is noted, its text is not.
    """
    return _span(name, attributes) if _is_traced else _UNTRACED


@contextmanager
def _span(name: str, attributes: Mapping[str, str | int]) -> Iterator[None]:
    with _tracer.start_as_current_span(
        name,
        attributes={f"kyosei.{key}": value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
            raise


def send_traces(endpoint: str, service_name: str) -> None:
    """Send what is traced in this process to a collector, by OTLP over HTTP.

    Raises ConfigurationError where the extra `otel` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigurationError("telemetry.otlp_endpoint: the extra `otel` is not installed") from None
    provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace_to(provider)
