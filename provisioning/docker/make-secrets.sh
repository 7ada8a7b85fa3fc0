#!/bin/sh
# Make the passwords that docker-compose.yml takes from files. Does not touch those that are there.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p .secrets && chmod 700 .secrets
if [ ! -e .secrets/postgres-password ]; then
  password=$(python3 -c 'import secrets; print(secrets.token_urlsafe(24))')
  printf '%s' "$password" >.secrets/postgres-password
  printf 'postgresql://skerry:%s@postgres:5432/skerry' "$password" >.secrets/database-url
  # Mounted one by one into containers that run as other users; the folder keeps everybody else out.
  chmod 444 .secrets/postgres-password .secrets/database-url
fi
