"""Elastic's own Python client through Sidegate with every credential: run as `every_credential.py URL CA CERTIFICATE KEY`."""

import sys

from elasticsearch import AuthenticationException, AuthorizationException, Elasticsearch

url, ca, certificate, key = sys.argv[1:5]


def client(**credential):
    return Elasticsearch(url, ca_certs=ca, request_timeout=30, max_retries=0, **credential)


def refused_with(kind, call):
    try:
        call()
    except kind:
        return
    raise AssertionError(f"expected {kind}, got an answer")


def is_known_as(es, username, kind):
    who = es.security.authenticate()
    assert (who["username"], who["authentication_type"]) == (username, kind), who
    allowed = es.security.has_privileges(cluster=["monitor", "manage_security"])
    assert allowed["username"] == username, allowed
    return allowed["cluster"]


pia = client(basic_auth=("pia", "pia-password"))
assert is_known_as(pia, "pia", "realm") == {"monitor": True, "manage_security": False}
refused_with(AuthorizationException, lambda: pia.security.put_user(username="eve", password="eve-password", roles=[]))
refused_with(AuthenticationException, lambda: client(basic_auth=("pia", "wrong")).security.authenticate())

elastic = client(basic_auth=("elastic", "changeme"))
assert is_known_as(elastic, "elastic", "realm")["manage_security"]

token = elastic.security.get_token(grant_type="password", username="pia", password="pia-password")["access_token"]
bearer = client(bearer_auth=token)
assert is_known_as(bearer, "pia", "token") == {"monitor": True, "manage_security": False}

made = pia.security.create_api_key(name="py", role_descriptors={"r": {"cluster": []}})
api_key = client(api_key=made["encoded"])
assert is_known_as(api_key, "pia", "api_key") == {"monitor": False, "manage_security": False}

service = elastic.security.create_service_token(namespace="elastic", service="fleet-server", name="py")["token"]["value"]
fleet = client(bearer_auth=service)
is_known_as(fleet, "elastic/fleet-server", "token")

robot = client(client_cert=certificate, client_key=key)
assert is_known_as(robot, "robot", "token") == {"monitor": True, "manage_security": False}

acting = client(basic_auth=("boss", "boss-password"), headers={"es-security-runas-user": "pia"})
assert is_known_as(acting, "pia", "realm") == {"monitor": True, "manage_security": False}
stranger = client(basic_auth=("pia", "pia-password"), headers={"es-security-runas-user": "elastic"})
refused_with(AuthorizationException, lambda: stranger.security.authenticate())

# What is revoked through Sidegate is gone at once, each by its own call.
elastic.security.invalidate_api_key(ids=[made["id"]])
refused_with(AuthenticationException, lambda: api_key.security.authenticate())
elastic.security.invalidate_token(token=token)
refused_with(AuthenticationException, lambda: bearer.security.authenticate())
elastic.security.delete_service_token(namespace="elastic", service="fleet-server", name="py")
refused_with(AuthenticationException, lambda: fleet.security.authenticate())
elastic.security.disable_user(username="boss")
refused_with(AuthenticationException, lambda: acting.security.authenticate())
elastic.security.enable_user(username="boss")
assert acting.security.authenticate()["username"] == "pia"
print("ok")
