package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
)

// httpsClient connects to addr whatever the URL says, and follows no redirects.
func httpsClient(t *testing.T, roots *x509.CertPool, addr string, http2 bool) *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// fetch gets a URL with its whole body, and the server's certificate if it has one.
func fetch(t *testing.T, client *http.Client, url string) (answer, *x509.Certificate) {
	t.Helper()
	a, cert, err := tryFetch(t, client, url)
	if err != nil {
		t.Fatal(err)
	}
	return a, cert
}

func tryFetch(t *testing.T, client *http.Client, url string) (answer, *x509.Certificate, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, nil, err
	}
	var cert *x509.Certificate
	if resp.TLS != nil {
		cert = resp.TLS.PeerCertificates[0]
	}
	return answer{Response: resp, body: string(body)}, cert, nil
}
