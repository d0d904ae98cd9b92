package phpstack

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// secretParts are what names of parameters with a secret contain, without regard to case and underscores.
var secretParts = []string{
	"pass", "pwd", "passwd", "secret", "token", "apikey", "accesskey", "privatekey", "encryptionkey", "credential", "authorization", "cookie",
	"sessionid", "kennwort", "geheim", "schluessel", "schlüssel", "motdepasse", "contrasena", "contraseña", "mnemonic",
}

// secretWords are whole words of such names: "key" in $apiKey and $key, but not in $keyboard.
var secretWords = map[string]bool{
	"pw": true, "psw": true, "pswd": true, "auth": true, "authentication": true, "key": true, "keys": true, "jwt": true, "jws": true, "jwe": true,
	"bearer": true, "dsn": true, "cred": true, "creds": true, "pin": true, "puk": true, "tan": true, "otp": true, "totp": true, "hotp": true, "mfa": true,
	"cvv": true, "cvc": true, "cvv2": true, "pan": true, "iban": true, "ssn": true, "session": true, "sessions": true, "sess": true, "sid": true,
	"private": true, "priv": true, "salt": true, "pepper": true, "seed": true, "nonce": true, "csrf": true, "xsrf": true, "hmac": true, "signature": true,
	"mdp": true, "clave": true, "senha": true, "wachtwoord": true, "heslo": true, "haslo": true, "parola": true, "oauth": true, "saml": true, "sso": true,
}

// secretArguments are those of functions whose parameters have harmless names, by their number.
var secretArguments = map[string]uint64{"curl_setopt": 2, "curl_multi_setopt": 2, "curl_share_setopt": 2, "setcookie": 1, "setrawcookie": 1, "session_id": 0, "session_decode": 0}

// namesSecret says whether a shown value is the name of something secret, so that what follows it is that: define("DB_PASSWORD", "…").
func namesSecret(value string) bool {
	name, err := strconv.Unquote(value)
	return err == nil && secretName.MatchString(name) && secret(name)
}

var secretName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.\-]*$`)

// secret says whether a parameter's name says that its value is secret. What is masked for nothing, such as a key of an array, does
// less harm than what is shown.
func secret(parameter string) bool {
	plain := strings.ToLower(strings.ReplaceAll(parameter, "_", ""))
	for _, part := range secretParts {
		if strings.Contains(plain, part) {
			return true
		}
	}
	for _, word := range wordsOf(parameter) {
		if secretWords[word] || secretWords[strings.TrimRight(word, "0123456789")] {
			return true
		}
	}
	return false
}

// wordsOf divides a name such as userPIN_code or HTTPAuth into its words, in small letters.
func wordsOf(name string) (words []string) {
	runes := []rune(name)
	var word []rune
	end := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
			word = nil
		}
	}
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			end()
			continue
		case unicode.IsUpper(r) && i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			end()
		}
		word = append(word, r)
	}
	end()
	return words
}

// secretTexts are what a text looks like that is secret, or holds something secret, whatever its parameter is called.
var secretTexts = []*regexp.Regexp{
	regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.\-]*://[^/?#\s]*:[^/?#\s]*(?:@|$)`),                               // a URL with a password (RFC 3986 section 3.2.1), also cut
	regexp.MustCompile(`(?i)\b(?:bearer|basic|digest|negotiate|ntlm|aws4-hmac-sha256)\s+[a-z0-9+/=._~-]{6,}`), // Authorization (RFC 9110 section 11.6.2)
	regexp.MustCompile(`(?i)\b(?:proxy-)?(?:authorization|cookie|set-cookie|x-api-key)\s*:`),                  // a header field
	regexp.MustCompile(`-----BEGIN [A-Z0-9 ]+-----`),                                                          // PEM (RFC 7468)
	regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.`),                                                            // a JSON Web Token (RFC 7519)
	regexp.MustCompile(`\b(?:sk|pk|rk)_(?:live|test)_|\bgh[opsur]_[A-Za-z0-9]{10}|\bgithub_pat_|\bxox[abprs]-|\bAKIA[0-9A-Z]{12}|\bAIza[0-9A-Za-z_-]{20}|\bglpat-`),
	regexp.MustCompile(`^\$(?:2[abxy]|argon2id?|5|6|y|1)\$`), // a hash of a password (crypt(5))
}

// pairName is the name of a value in a query, a DSN or JSON.
var pairName = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_.\[\]-]*)"?\s*(?:=|%3[dD]|":)`)

// secretText says whether a text is secret.
func secretText(text string) bool {
	for _, re := range secretTexts {
		if re.MatchString(text) {
			return true
		}
	}
	for _, m := range pairName.FindAllStringSubmatch(text, -1) {
		if secret(m[1]) {
			return true
		}
	}
	return false
}
