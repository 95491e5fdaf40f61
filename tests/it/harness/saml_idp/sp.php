<?php
// One service provider per way of signing and encrypting, all at the same addresses; its entity id is `urn:sp:WAY`.
$acs = getenv('IDP_SP_ACS');
$logout = getenv('IDP_SP_LOGOUT');
$certificate = preg_replace('/-----[^-]+-----|\s/', '', file_get_contents(getenv('IDP_FOLDER') . '/sp.crt'));
$bindings = 'urn:oasis:names:tc:SAML:2.0:bindings:';
$every = [
    'AssertionConsumerService' => [['index' => 1, 'isDefault' => true, 'Location' => $acs, 'Binding' => $bindings . 'HTTP-POST']],
    'SingleLogoutService' => [['Location' => $logout, 'Binding' => $bindings . (getenv('IDP_SP_LOGOUT_BINDING') ?: 'HTTP-Redirect')]],
    'keys' => [['type' => 'X509Certificate', 'X509Certificate' => $certificate, 'encryption' => true, 'signing' => true]],
    'simplesaml.nameidattribute' => 'uid',
];
$ways = [
    'plain' => [],
    'response' => ['saml20.sign.assertion' => false],
    'assertion' => ['saml20.sign.response' => false],
    'unsigned' => ['saml20.sign.response' => false, 'saml20.sign.assertion' => false],
    'encrypted' => ['assertion.encryption' => true],
    'encrypted-unsigned-response' => ['assertion.encryption' => true, 'saml20.sign.response' => false],
    'encrypted-name' => ['nameid.encryption' => true],
    'sha1' => ['signature.algorithm' => 'http://www.w3.org/2000/09/xmldsig#rsa-sha1'],
    'sha512' => ['signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512'],
    'strict' => ['validate.authnrequest' => true, 'validate.logout' => true],
    'persistent' => ['NameIDFormat' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'],
];
foreach ($ways as $way => $own) {
    $metadata["urn:sp:$way"] = $own + $every;
}
