<?php
// The server built into PHP doesn't cut "x.php/rest" where the rest has a dot.
$root = $_SERVER['DOCUMENT_ROOT'];
$path = urldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
if (preg_match('#^(/.+?\.php)(/.*)?$#', $path, $found) && is_file($root . $found[1])) {
    $_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = $found[1];
    $_SERVER['SCRIPT_FILENAME'] = $root . $found[1];
    if (isset($found[2])) {
        $_SERVER['PATH_INFO'] = $found[2];
        $_SERVER['PHP_SELF'] .= $found[2];
    }
    chdir(dirname($root . $found[1]));
    require $root . $found[1];
    return true;
}
return false;
