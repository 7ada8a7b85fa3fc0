#!/usr/bin/env bash
# Set up a checkout on a Debian-like machine: virtual environment, locked dependencies, Debian's programs.
# Safe to run again. Programs that cannot be installed are named; what can run without them goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Skerry needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }

programs="dcmtk mosquitto haproxy postgresql orthanc orthanc-dicomweb strace"
missing=()
for program in $programs; do
  dpkg-query -W -f='${Status}' "$program" 2>/dev/null | grep -q 'ok installed' || missing+=("$program")
done
debian="Debian's programs and "
[ ${#missing[@]} -gt 0 ] || debian=""
echo "installing $debian$(grep -c '==' requirements/dev.txt) Python packages, about a minute"
if [ ${#missing[@]} -gt 0 ]; then
  run=""
  if [ "$(id -u)" != 0 ]; then run="sudo -n"; fi
  if command -v apt-get >/dev/null && $run true 2>/dev/null; then
    echo "installing from Debian: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # A package must not start a service of its own here: the tests and the demo start what they need.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then printf '#!/bin/sh\nexit 101\n' | $run tee $policy >/dev/null; $run chmod +x $policy; made_policy=1; fi
    { $run apt-get update -qq && $run apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >.setup-apt.log 2>&1 \
      || { tail -5 .setup-apt.log >&2; echo "apt-get could not install: ${missing[*]}; going on without" >&2; }
    rm -f .setup-apt.log
    [ -z "${made_policy:-}" ] || $run rm -f $policy
  else
    echo "not installed, and apt-get cannot be used here: ${missing[*]}" >&2
    echo "to have everything: apt-get install ${missing[*]}" >&2
  fi
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt 2> >(grep -v '^WARNING: Location' >&2)
.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . 2> >(grep -v '^WARNING: Location' >&2)
