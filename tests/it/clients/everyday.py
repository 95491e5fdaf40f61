"""Everyday use of Elastic's Python client, as its documentation shows it: `everyday.py URL`. Exits 0 when all holds."""

import sys

from elasticsearch import AuthenticationException, AuthorizationException, ConflictError, Elasticsearch, NotFoundError

URL = sys.argv[1]
OPTIONS = {"request_timeout": 60, "max_retries": 0}
es = Elasticsearch(URL, basic_auth=("elastic", "changeme"), **OPTIONS)


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


def create_user_with_roles():
    es.security.put_user(
        username="jacknich",
        password="l0ng-r4nd0m-p@ssw0rd",
        roles=["admin", "other_role1"],
        full_name="Jack Nicholson",
        email="jacknich@example.com",
        metadata={"intelligence": 7},
    )
    jack = es.security.get_user(username="jacknich")["jacknich"]
    assert jack["roles"] == ["admin", "other_role1"] and jack["metadata"] == {"intelligence": 7}, jack
    as_jack = Elasticsearch(URL, basic_auth=("jacknich", "l0ng-r4nd0m-p@ssw0rd"), **OPTIONS)
    assert as_jack.security.authenticate()["email"] == "jacknich@example.com"
    refused(AuthorizationException, lambda: as_jack.security.get_user())
    es.security.change_password(username="jacknich", password="new-test-password")
    refused(AuthenticationException, as_jack.security.authenticate)
    refused(NotFoundError, lambda: es.security.get_user(username="nobody"))


def custom_role_with_field_and_document_level_security():
    answer = es.security.put_role(
        name="my_admin_role",
        description="Grants full access to all management features within the cluster.",
        cluster=["all"],
        indices=[
            {
                "names": ["index1", "index2"],
                "privileges": ["all"],
                "field_security": {"grant": ["title", "body"]},
                "query": '{"match": {"title": "foo"}}',
            }
        ],
        applications=[{"application": "myapp", "privileges": ["admin", "read"], "resources": ["*"]}],
        run_as=["other_user"],
        metadata={"version": 1},
    )
    assert answer["role"]["created"] is True, answer
    role = es.security.get_role(name="my_admin_role")["my_admin_role"]
    assert role["indices"][0]["field_security"] == {"grant": ["title", "body"]}, role
    assert role["indices"][0]["query"] == '{"match": {"title": "foo"}}', role
    assert role["transient_metadata"] == {"enabled": True}, role


def api_key_with_role_descriptors_and_expiration():
    key = es.security.create_api_key(
        name="my-api-key",
        expiration="1d",
        role_descriptors={
            "role-a": {"cluster": ["all"], "indices": [{"names": ["index-a*"], "privileges": ["read"]}]},
            "role-b": {"cluster": ["all"], "indices": [{"names": ["index-b*"], "privileges": ["all"]}]},
        },
        metadata={"application": "my-application", "environment": {"level": 1, "trusted": True, "tags": ["dev", "staging"]}},
    )
    assert key["expiration"] > 0 and key["encoded"], key
    for credential in [key["encoded"], (key["id"], key["api_key"])]:
        with_key = Elasticsearch(URL, api_key=credential, **OPTIONS)
        assert with_key.security.authenticate()["api_key"]["id"] == key["id"]
    can = with_key.security.has_privileges(index=[{"names": ["index-a1", "index-c"], "privileges": ["read"]}])
    assert can["index"] == {"index-a1": {"read": True}, "index-c": {"read": False}}, can
    found = es.security.query_api_keys(query={"term": {"name": {"value": "my-api-key"}}})
    assert found["api_keys"][0]["metadata"]["environment"]["tags"] == ["dev", "staging"], found
    assert es.security.invalidate_api_key(ids=[key["id"]])["error_count"] == 0
    refused(AuthenticationException, with_key.security.authenticate)


def tokens_got_refreshed_and_invalidated():
    grant = es.security.get_token(grant_type="password", username="jacknich", password="new-test-password")
    assert grant["type"] == "Bearer" and grant["expires_in"] == 1200, grant
    with_token = Elasticsearch(URL, bearer_auth=grant["access_token"], **OPTIONS)
    assert with_token.security.authenticate()["authentication_type"] == "token"
    fresh = es.security.get_token(grant_type="refresh_token", refresh_token=grant["refresh_token"])
    assert fresh["access_token"] != grant["access_token"]
    assert es.security.invalidate_token(token=fresh["access_token"])["invalidated_tokens"] == 1
    assert es.security.invalidate_token(username="jacknich")["error_count"] == 0
    refused(AuthenticationException, with_token.security.authenticate)


def application_privileges():
    es.security.put_privileges(
        privileges={
            "myapp": {
                "read": {"actions": ["data:read/*", "action:login"], "metadata": {"description": "Read access to myapp"}},
                "write": {"actions": ["data:write/*"]},
            }
        }
    )
    read = es.security.get_privileges(application="myapp", name="read")["myapp"]["read"]
    assert read["actions"] == ["data:read/*", "action:login"], read
    es.security.put_role(
        name="app_reader", applications=[{"application": "myapp", "privileges": ["read"], "resources": ["space:*"]}]
    )
    es.security.put_user(username="jacknich", roles=["app_reader"])
    jack = Elasticsearch(URL, basic_auth=("jacknich", "new-test-password"), **OPTIONS)
    can = jack.security.has_privileges(
        cluster=["monitor"],
        index=[{"names": ["suppliers", "products"], "privileges": ["read"]}],
        application=[{"application": "myapp", "privileges": ["read", "data:write/supplier"], "resources": ["space:1"]}],
    )
    assert can["has_all_requested"] is False and can["cluster"] == {"monitor": False}, can
    assert can["application"]["myapp"]["space:1"] == {"read": True, "data:write/supplier": False}, can
    assert es.security.delete_privileges(application="myapp", name="read,write")["myapp"]["read"]["found"]


def service_tokens_are_made_once():
    token = es.security.create_service_token(namespace="elastic", service="fleet-server", name="token1")
    fleet = Elasticsearch(URL, bearer_auth=token["token"]["value"], **OPTIONS)
    assert fleet.security.authenticate()["username"] == "elastic/fleet-server"
    again = lambda: es.security.create_service_token(namespace="elastic", service="fleet-server", name="token1")
    refused(ConflictError, again)


def everything_can_be_filtered_and_iterated():
    assert es.security.authenticate(filter_path="username").body == {"username": "elastic"}
    names = []
    after = None
    while True:
        page = es.security.query_user(sort=["username"], size=1, search_after=after)
        if not page["users"]:
            break
        names.append(page["users"][0]["username"])
        after = page["users"][0]["_sort"]
    assert names == sorted(names) and "jacknich" in names, names


assert es.info()["version"]["build_flavor"] == "default"
assert es.ping() is True
create_user_with_roles()
custom_role_with_field_and_document_level_security()
api_key_with_role_descriptors_and_expiration()
tokens_got_refreshed_and_invalidated()
application_privileges()
service_tokens_are_made_once()
everything_can_be_filtered_and_iterated()
print("ok")
