<?php
// written by confsync; change its source instead: what is changed here is put back

define('DB_NAME', 'blog');
define('DB_USER', 'blog');
define('DB_PASSWORD', 'dev');
define('DB_HOST', 'localhost:3306');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';

define('AUTH_KEY', 'dev');
define('SECURE_AUTH_KEY', 'dev');
define('LOGGED_IN_KEY', 'dev');
define('NONCE_KEY', 'dev');
define('AUTH_SALT', 'dev');
define('SECURE_AUTH_SALT', 'dev');
define('LOGGED_IN_SALT', 'dev');
define('NONCE_SALT', 'dev');

define('WP_ENVIRONMENT_TYPE', 'local');
define('WP_HOME', 'http://localhost:8080');
define('WP_SITEURL', 'http://localhost:8080');
define('WP_DEBUG', true);
define('WP_DEBUG_LOG', true);
define('WP_DEBUG_DISPLAY', false);
define('DISALLOW_FILE_EDIT', true);

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
