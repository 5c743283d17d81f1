<?php
// written by confsync; change its source instead: what is changed here is put back

define('DB_NAME', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\');
define('DB_USER', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\');
define('DB_PASSWORD', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\');
define('DB_HOST', 'localhost:3306');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';

define('AUTH_KEY', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\0');
define('SECURE_AUTH_KEY', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\1');
define('LOGGED_IN_KEY', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\2');
define('NONCE_KEY', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\3');
define('AUTH_SALT', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\4');
define('SECURE_AUTH_SALT', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\5');
define('LOGGED_IN_SALT', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\6');
define('NONCE_SALT', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\7');

define('WP_ENVIRONMENT_TYPE', 'production');
define('WP_HOME', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\');
define('WP_SITEURL', 'a\'b"c\\d
e;f}g{h $i ${j} #{k} `l` %m #n <?o ?> é😀	\\');
define('WP_DEBUG', true);
define('WP_DEBUG_LOG', true);
define('WP_DEBUG_DISPLAY', false);
define('DISALLOW_FILE_EDIT', true);

define('A1', '007');
define('B', -5);
define('C', '1e3');
define('D', true);
define('E', 'TRUE');
define('F', 'phpinfo()');
define('G', '1234567890123456789');
define('H', '\'); phpinfo(); //');
define('I', '*/ ?>');
define('J', '');

if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') {
    $_SERVER['HTTPS'] = 'on';
}

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
