FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends mosquitto && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin skerry \
 && install -d -o 10001 -g 10001 -m 0700 /data /certificates
COPY provisioning/docker/mosquitto.conf provisioning/broker.acl /etc/mosquitto/
USER 10001:10001
ENTRYPOINT ["mosquitto", "-c", "/etc/mosquitto/mosquitto.conf"]
