package phpstack

import "testing"

func TestParametersWithSecretNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"pw", "pass", "passwd", "password", "db_password", "userPw", "pwd", "auth", "authHeader", "httpAuth", "HTTPAuth", "key", "apiKey", "api_key", "key2",
		"token", "csrf_token", "accessToken", "jwt", "idJwt", "bearer", "dsn", "PDO_DSN", "secret", "credential", "credentials", "creds", "pin", "cardPIN",
		"otp", "cvv", "cvc", "cookie", "cookies", "session", "sessionId", "sess_id", "sid", "private", "privateKey", "private_key", "passphrase", "salt",
		"kennwort", "passwort", "geheimnis", "schluessel", "mdp", "motDePasse", "contrasena", "clave", "senha", "signature", "nonce", "iban", "seed",
	} {
		if !secret(name) {
			t.Errorf("%s is shown", name)
		}
	}
	for _, name := range []string{
		"id", "name", "keyboard", "monkey", "author", "authors", "pinned", "spin", "option", "sidebar", "tangent", "panel", "keyword", "value", "list", "user",
		"assess", "professional", "description", "seeded", "privatee", "", "ref", "hotplug",
	} {
		if secret(name) {
			t.Errorf("%s is masked", name)
		}
	}
}

func TestTextsThatAreSecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"mysql://root:hunter2@db/app", "redis://:hunter2@127.0.0.1", "https://user:x@example.com/a", "postgres://app:hun", "smtp+tls://me%40x:pw@mail:587",
		"Bearer abcdef123456", "bearer eyJhbGciOi", "Basic dXNlcjpwYXNz", "Authorization: Basic dXNlcjpwYXNz", "Cookie: PHPSESSID=1", "X-Api-Key: 17",
		"-----BEGIN PRIVATE KEY-----\nMII", "-----BEGIN RSA PRIVATE KEY-----", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "/login?user=a&password=b",
		"a=1&access_token=xyz", "mysql:host=db;dbname=a;password=b", `{"user":"a","password":"b"}`, "DB_PASSWORD=b", "host=db user=a pwd=c", "$2y$10$abcdefghij",
		"$argon2id$v=19$m=65536", "sk_live_abcdef", "ghp_0123456789abcdef", "AKIAABCDEFGHIJKLMNOP", "api-key%3Dabc", "token = 'x'",
	} {
		if !secretText(text) {
			t.Errorf("%q is shown", text)
		}
	}
	for _, text := range []string{
		"", "hello", "https://example.com/a?b=c", "https://example.com:8080/", "SELECT * FROM users WHERE id = 5", "a:b@c", "the bearer of this", "user@example.com",
		"/srv/www/index.php", "2026-01-01 10:00:00", "name=value", "{\"a\":1}", "changed\n", "mysql:host=db;dbname=a",
	} {
		if secretText(text) {
			t.Errorf("%q is masked", text)
		}
	}
}
