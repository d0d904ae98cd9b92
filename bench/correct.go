package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// settings is what index.php says about the PHP that runs it.
type settings struct {
	Version string            `json:"version"`
	SAPI    string            `json:"sapi"`
	INI     map[string]string `json:"ini"`
	Cached  map[string]bool   `json:"cached"`
}

// fetch gets a whole response.
func fetch(ctx context.Context, client *http.Client, url string) (*http.Response, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", fmt.Errorf("cannot make a request: %v", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, "", fmt.Errorf("cannot send a request: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, "", fmt.Errorf("cannot read a response: %v", err)
	}
	return response, string(body), nil
}

// checkScript asks for the script a few times and compares all of the answer:
// wrk counts, it does not read.
func checkScript(ctx context.Context, s *side, sc script) error {
	const times = 8
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for range times {
		response, body, err := fetch(ctx, client, s.url(sc.path))
		switch {
		case err != nil:
			return fmt.Errorf("%s, %s: %v", s.name, sc.name, err)
		case response.StatusCode != http.StatusOK:
			return fmt.Errorf("%s, %s: status %d", s.name, sc.name, response.StatusCode)
		case body != sc.body:
			return fmt.Errorf("%s, %s: wrong body of %d bytes: %.80q", s.name, sc.name, len(body), body)
		case response.Close:
			return fmt.Errorf("%s, %s: the connection is not kept alive", s.name, sc.name)
		}
	}
	return nil
}

// readSettings asks the side's PHP about itself.
func readSettings(ctx context.Context, s *side) (settings, error) {
	var v settings
	response, body, err := fetch(ctx, http.DefaultClient, s.url("/index.php"))
	if err != nil {
		return v, fmt.Errorf("%s: %v", s.name, err)
	}
	if response.StatusCode != http.StatusOK {
		return v, fmt.Errorf("%s: status %d for index.php", s.name, response.StatusCode)
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return v, fmt.Errorf("%s: cannot parse PHP's settings %.200q: %v", s.name, body, err)
	}
	return v, nil
}

// checkSettings compares two sides' PHP: different settings would be measured
// as different speeds.
func checkSettings(a *side, av settings, b *side, bv settings) error {
	if av.Version != bv.Version {
		return fmt.Errorf("cannot compare PHP %s of %s with PHP %s of %s", av.Version, a.name, bv.Version, b.name)
	}
	for name, value := range av.INI {
		if other, found := bv.INI[name]; !found || other != value {
			return fmt.Errorf("cannot compare: %s is %q on %s and %q on %s", name, value, a.name, other, b.name)
		}
	}
	for name := range bv.INI {
		if _, found := av.INI[name]; !found {
			return fmt.Errorf("cannot compare: %s is set on %s and unknown on %s", name, b.name, a.name)
		}
	}
	return nil
}

// checkCached makes sure that opcache is on and holds the measured scripts.
func checkCached(s *side, v settings, scripts []script) error {
	if v.INI["opcache.enable"] != "1" {
		return fmt.Errorf("%s: opcache is off: install it with apt-get install php-opcache and enable it for cgi and fpm", s.name)
	}
	for _, sc := range scripts {
		if !v.Cached[sc.path[1:]] {
			return fmt.Errorf("%s: opcache does not hold %s after warm-up", s.name, sc.path)
		}
	}
	return nil
}
