FROM python:3.11.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --no-compile --require-hashes --requirement requirements-build.lock \
 && python -m venv --without-pip /opt/authgw \
 && /opt/build/bin/pip --python /opt/authgw/bin/python install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY authgw authgw
RUN /opt/build/bin/hatchling build -t wheel \
 && /opt/build/bin/pip --python /opt/authgw/bin/python install --no-cache-dir --no-deps dist/*.whl

FROM python:3.11.13-slim-bookworm
LABEL org.opencontainers.image.title="authgw" \
      org.opencontainers.image.description="A forward-auth gateway for NGINX, Traefik, Caddy, Envoy and HAProxy" \
      org.opencontainers.image.version="0.9.0" \
      org.opencontainers.image.source="https://github.com/authgw/authgw" \
      org.opencontainers.image.documentation="https://github.com/authgw/authgw/tree/main/docs" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --system --gid 10001 authgw \
 && useradd --system --no-log-init --uid 10001 --gid 10001 --home-dir /srv/authgw authgw \
 && install -d -o authgw -g authgw -m 700 /srv/authgw
COPY docker/healthcheck /usr/local/bin/healthcheck
COPY --from=build /opt/authgw /opt/authgw
ENV PATH=/opt/authgw/bin:$PATH AUTHGW_SERVER__HOST=0.0.0.0
# The standard library of the base image is not compiled, and the user below cannot write it: each
# start would compile what it imports.
RUN python -c 'import authgw.app, authgw.cli.serve'
USER 10001:10001
WORKDIR /srv/authgw
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=2s --start-period=10s CMD ["healthcheck"]
CMD ["authgw", "serve"]
