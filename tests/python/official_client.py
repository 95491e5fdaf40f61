"""What Elastic's own Python client makes of an authority: run as `official_client.py URL CA|-`. Exits 0 when all holds."""

import sys

from elasticsearch import ApiError, AuthenticationException, AuthorizationException, Elasticsearch

url, ca = sys.argv[1:3]
options = {} if ca == "-" else {"ca_certs": ca}


def client(**credential):
    return Elasticsearch(url, request_timeout=30, max_retries=0, **options, **credential)


def refused_with(kind, call):
    try:
        call()
    except kind:
        return
    except ApiError as error:
        raise AssertionError(f"expected {kind.__name__}, got {error!r}") from error
    raise AssertionError(f"expected {kind.__name__}, got an answer")


elastic = client(basic_auth=("elastic", "changeme"))

info = elastic.info()
assert info["tagline"] == "You Know, for Search", info
me = elastic.security.authenticate()
assert me["username"] == "elastic" and "superuser" in me["roles"], me

elastic.security.put_privileges(
    privileges={"pyshop": {"read": {"actions": ["data:read/*"]}, "write": {"actions": ["data:write/*"]}}}
)
elastic.security.put_role(
    name="pyreader",
    cluster=["monitor"],
    indices=[{"names": ["py-*"], "privileges": ["read"]}],
    applications=[{"application": "pyshop", "privileges": ["read"], "resources": ["*"]}],
)
elastic.security.put_user(username="pia", password="pia-password", roles=["pyreader"], full_name="Pia", email="pia@example.com")
assert elastic.security.get_user(username="pia")["pia"]["full_name"] == "Pia"
assert "pyreader" in elastic.security.get_role(name="pyreader")

pia = client(basic_auth=("pia", "pia-password"))
assert pia.security.authenticate()["email"] == "pia@example.com"
answer = pia.security.has_privileges(
    cluster=["monitor", "manage"],
    index=[{"names": ["py-1"], "privileges": ["read", "write"]}],
    application=[{"application": "pyshop", "privileges": ["read", "write"], "resources": ["order:1"]}],
)
assert answer["cluster"] == {"monitor": True, "manage": False}, answer
assert answer["index"]["py-1"] == {"read": True, "write": False}, answer
assert answer["application"]["pyshop"]["order:1"] == {"read": True, "write": False}, answer
refused_with(AuthorizationException, lambda: pia.security.put_user(username="eve", password="eve-password", roles=[]))
refused_with(AuthenticationException, lambda: client(basic_auth=("pia", "wrong")).security.authenticate())

key = elastic.security.create_api_key(name="py", expiration="1h", metadata={"team": "py"})
with_key = client(api_key=key["encoded"])
assert with_key.security.authenticate()["authentication_type"] == "api_key"
assert elastic.security.get_api_key(id=key["id"])["api_keys"][0]["name"] == "py"
done = elastic.security.invalidate_api_key(ids=[key["id"]])
assert done["invalidated_api_keys"] == [key["id"]], done

token = elastic.security.get_token(grant_type="password", username="pia", password="pia-password")
bearer = client(bearer_auth=token["access_token"])
assert bearer.security.authenticate()["username"] == "pia"
assert elastic.security.invalidate_token(token=token["access_token"])["invalidated_tokens"] == 1

elastic.security.delete_user(username="pia")
elastic.security.delete_role(name="pyreader")
elastic.security.delete_privileges(application="pyshop", name="read,write")
print("ok")
