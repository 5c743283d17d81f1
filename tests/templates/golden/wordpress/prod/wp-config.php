<?php
// written by confsync; change its source instead: what is changed here is put back

define('DB_NAME', 'blog');
define('DB_USER', 'blog');
define('DB_PASSWORD', 'change-me: it\'s $5 \\');
define('DB_HOST', 'db1.example.com:3306');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';

define('AUTH_KEY', 'change-me-1');
define('SECURE_AUTH_KEY', 'change-me-2');
define('LOGGED_IN_KEY', 'change-me-3');
define('NONCE_KEY', 'change-me-4');
define('AUTH_SALT', 'change-me-5');
define('SECURE_AUTH_SALT', 'change-me-6');
define('LOGGED_IN_SALT', 'change-me-7');
define('NONCE_SALT', 'change-me-8');

define('WP_ENVIRONMENT_TYPE', 'production');
define('WP_HOME', 'https://blog.example.com');
define('WP_SITEURL', 'https://blog.example.com');
define('WP_DEBUG', false);
define('WP_DEBUG_LOG', false);
define('WP_DEBUG_DISPLAY', false);
define('DISALLOW_FILE_EDIT', true);

define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_MEMORY_LIMIT', '256M');
define('WP_POST_REVISIONS', 5);

if (($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '') === 'https') {
    $_SERVER['HTTPS'] = 'on';
}

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
