# Sidegate in a small image: the binary, glibc and CA certificates, no shell, not root.
#
#   docker build -t sidegate .
#   docker run --rm -p 8443:8443 -v /etc/sidegate:/etc/sidegate:ro sidegate

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Shown by `sidegate --version`: docker build --build-arg SIDEGATE_BUILD_COMMIT=$(git rev-parse --short HEAD)
ARG SIDEGATE_BUILD_COMMIT
RUN cargo build --release --locked --bin sidegate

# The same Debian as above, so that the glibc is the one the binary was linked with; `cc` has libgcc_s.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/sidegate /sidegate
USER nonroot:nonroot
# The proxy's door; the admin door (9901) stays on loopback inside, where the health check asks.
EXPOSE 8443
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/sidegate", "health"]
ENTRYPOINT ["/sidegate", "run", "--config", "/etc/sidegate/sidegate.yaml"]
