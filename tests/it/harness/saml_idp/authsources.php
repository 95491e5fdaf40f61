<?php
$config = [
    'admin' => ['core:AdminPassword'],
    'people' => ['exampleauth:UserPass',
        'alice:alicepass' => ['uid' => ['alice'], 'mail' => ['alice@example.test'], 'cn' => ['Alice Ä. & <Co>'], 'groups' => ['admins', 'devs']],
        'bob:bobpass' => ['uid' => ['bob'], 'mail' => ['bob@example.test'], 'cn' => ['Bob'], 'groups' => ['devs']],
    ],
];
