DESC="Sidegate: TLS reverse proxy with authentication and privilege check, cache hits"; PROTO="h1 h2"; TLS=1; AUTHKIND=cache
start(){ cat > $DIR/sidegate.yaml <<Y
listeners:
  - address: 127.0.0.1:$PORT
    tls: { certificates: [{ certificate: $CERT, key: $KEY }] }
admin: { address: 127.0.0.1:0 }
authority: { elasticsearch: { nodes: ["http://$AUTH"] } }
upstreams: { app: { url: "http://$UP" } }
cache: { ttl: 600s }
routes:
  - { name: all, match: { path: "/**" }, require: { cluster: [monitor] }, upstream: app, forward: { identity_headers: {} } }
Y
 export SIDEGATE_WORKERS=$WORKERS; exec ${SIDEGATE_BIN:-target/release/sidegate} run --config $DIR/sidegate.yaml; }
