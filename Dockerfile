# One image for the four services, the command line and the stand-ins; the command names what runs:
#   docker run facescan:local run inbox
# EXTRA chooses the dependencies (pyproject.toml): `all`, or one service's own for an image without the stand-ins.

# The scan page's program. Debian's Node is here only: nothing in the image needs it.
FROM python:3.11-slim-bookworm AS page
RUN apt-get update \
 && apt-get install -y --no-install-recommends nodejs npm \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src/services/session/frontend
COPY services/session/frontend/package.json services/session/frontend/package-lock.json services/session/frontend/.npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY services/session/frontend ./
RUN npm run build

FROM python:3.11-slim-bookworm AS build
ARG EXTRA=all
ENV UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --quiet uv==0.13.9 && python -m venv --without-pip /opt/facescan
WORKDIR /src
# What to install comes from pyproject.toml, so no development tool does; versions and hashes come from the lock file as
# constraints, and --require-hashes refuses whatever has none there, dependencies of dependencies included.
COPY pyproject.toml requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --quiet --python /opt/facescan/bin/python \
      --require-hashes --constraint requirements.lock --requirement pyproject.toml --extra "$EXTRA"
# Last, because it changes most.
COPY LICENSE README.md ./
COPY shared shared
COPY services services
COPY emulators emulators
COPY cli cli
COPY --from=page /src/services/session/static services/session/static
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --quiet --python /opt/facescan/bin/python --no-deps .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="facescan" \
      org.opencontainers.image.description="Face liveness and locator verification for Identity domains." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# A named volume takes the owner of the folder that it covers: /world belongs to who writes there.
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin facescan \
 && install --directory --owner facescan --group facescan /world
# Two malloc arenas: threads call AWS, and one arena for each of them would hold on to memory.
ENV PATH=/opt/facescan/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2
COPY --from=build /opt/facescan /opt/facescan
WORKDIR /home/facescan
USER 10001:10001
ENTRYPOINT ["facescan"]
CMD ["--help"]
