FROM python:3.11.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/authgw \
 && /opt/authgw/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY authgw authgw
RUN /opt/build/bin/hatchling build -t wheel \
 && /opt/authgw/bin/pip install --no-cache-dir --no-deps dist/*.whl

FROM python:3.11.13-slim-bookworm
RUN useradd --system --uid 10001 authgw && install -d -o authgw -m 700 /srv/authgw
COPY --from=build /opt/authgw /opt/authgw
ENV PATH=/opt/authgw/bin:$PATH AUTHGW_SERVER__HOST=0.0.0.0
USER 10001
WORKDIR /srv/authgw
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=2s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=1)"]
CMD ["authgw", "serve"]
