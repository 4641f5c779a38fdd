"""The image and docker-compose.yml, run by Podman and runc; `make containers`."""
