# Kyosei Gateway for production: `kyosei serve` as a user without rights, on a read-only root with one volume.
#
#   docker build -t kyosei-gateway .
#   docker run --read-only --tmpfs /tmp -v kyosei:/var/lib/kyosei -v ./config:/etc/kyosei:ro -p 127.0.0.1:8000:8000 kyosei-gateway
#
# No secret is in the image. The configuration is mounted; the master key is in the volume (docs/operations.md).

FROM python:3.11-slim-bookworm AS built
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/kyosei
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --quiet --disable-pip-version-check 'uv==0.13.*'
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN /opt/uv/bin/uv sync --locked --no-default-groups --extra postgres --extra otel --compile-bytecode --no-install-project
COPY connectors connectors
COPY resolvers resolvers
COPY gateway gateway
RUN /opt/uv/bin/uv sync --locked --no-default-groups --extra postgres --extra otel --compile-bytecode --no-editable

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/kyosei --create-home kyosei \
 && chmod 700 /var/lib/kyosei
COPY --from=built /opt/kyosei /opt/kyosei
ENV PATH=/opt/kyosei/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KYOSEI_CONFIG=/etc/kyosei \
    KYOSEI_SERVER__HOST=0.0.0.0
USER kyosei
WORKDIR /var/lib/kyosei
VOLUME /var/lib/kyosei
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
ENTRYPOINT ["kyosei"]
CMD ["serve", "--state", "/var/lib/kyosei"]
