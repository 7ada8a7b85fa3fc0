#!/bin/sh
# Once: sites, their policies, and a token for each node. Shares the control plane's network and sees its first password.
set -eu
export SKERRY_URL=http://127.0.0.1:8080
ask() { skerry-control "$@" --password-file /data/admin-password; }
known=$(ask site list --json)
for site in north south; do
  case $known in *"\"$site\""*) continue ;; esac
  ask site add "$site"
  ask policy publish "$site" "/policies/$site.yaml"
done
for node in north-1 north-2 south-1; do
  [ -e "/tokens/$node" ] && continue
  umask 077
  ask token create "${node%-*}" --json | python -c 'import json,sys; print(json.load(sys.stdin)["token"])' >"/tokens/.$node"
  mv "/tokens/.$node" "/tokens/$node"
done
