#!/bin/sh
# Enrol on the first start, with the token that is put into /tokens, then run. A node that is enrolled never waits here.
set -eu
if [ ! -e /data/identity/node.json ]; then
  until [ -s "/tokens/$NODE_NAME" ]; do sleep 1; done
  skerry-edge enrol --data-dir /data --token-file "/tokens/$NODE_NAME" --name "$NODE_NAME"
fi
exec skerry-edge run --data-dir /data --listen 0.0.0.0:11112 --http 127.0.0.1:8042
