<?php
$redirect = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect';
$post = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST';
$metadata[getenv('IDP_URL') . 'idp'] = [
    'host' => '__DEFAULT__', 'privatekey' => 'idp.key', 'certificate' => 'idp.crt', 'auth' => 'people',
    'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    'saml20.sign.response' => true, 'saml20.sign.assertion' => true,
    'sign.logout' => true, 'redirect.sign' => true, 'validate.authnrequest' => false,
    'SingleSignOnServiceBinding' => [$redirect, $post], 'SingleLogoutServiceBinding' => [$redirect, $post],
    'NameIDFormat' => ['urn:oasis:names:tc:SAML:2.0:nameid-format:transient', 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'],
    'attributes.NameFormat' => 'urn:oasis:names:tc:SAML:2.0:attrname-format:basic',
];
