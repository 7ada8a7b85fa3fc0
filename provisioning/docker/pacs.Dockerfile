# A PACS for trying things out: DCMTK's storescp, which keeps every data set exactly as it arrived.
FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends dcmtk && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin skerry \
 && install -d -o 10001 -g 10001 -m 0700 /data
ENV TCP_NODELAY=1
USER 10001:10001
ENTRYPOINT ["storescp", "-v", "-od", "/data", "-pm", "+xa", "+B", "--fork"]
