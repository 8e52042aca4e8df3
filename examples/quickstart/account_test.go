package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

func TestTheAccountAtAWSIsUsedIfAskedFor(t *testing.T) {
	t.Parallel()
	srv := awssmtest.NewServer(awssmtest.WithRegion("eu-west-1"))
	defer srv.Close()
	account := []string{"AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=example", "AWS_PROFILE="}
	t.Run("AWS itself", func(t *testing.T) {
		cmd := program(t, "-aws")
		cmd.Env = append(cmd.Env, account...)
		cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+srv.URL, "AWS_REGION=eu-west-1")
		stdout, stderr, code := runProgram(t, cmd)
		wantAllWell(t, stdout, stderr, code)
		if left := srv.Names(); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
		if !strings.Contains(stdout, "your account, region eu-west-1") {
			t.Errorf("it does not say where it writes:\n%s", stdout)
		}
	})
	t.Run("an endpoint of it, in a region", func(t *testing.T) {
		cmd := program(t, "-aws", "-endpoint", srv.URL, "-region", "eu-west-1")
		cmd.Env = append(cmd.Env, account...)
		stdout, stderr, code := runProgram(t, cmd)
		wantAllWell(t, stdout, stderr, code)
		if left := srv.Names(); len(left) > 0 {
			t.Errorf("%q are left", left)
		}
	})
	t.Run("without a region", func(t *testing.T) {
		cmd := program(t, "-aws")
		cmd.Env = append(cmd.Env, account...)
		stdout, stderr, code := runProgram(t, cmd)
		wantFailure(t, stdout, stderr, code, "-region")
	})
}

func TestTheProjectAtGoogleIsUsedIfAskedFor(t *testing.T) {
	t.Parallel()
	for parent, c := range map[string]struct{ host, location string }{
		"projects/my-project":                        {"secretmanager.googleapis.com", ""},
		"projects/my-project/locations/europe-west3": {"secretmanager.europe-west3.rep.googleapis.com", "europe-west3"},
	} {
		t.Run(parent, func(t *testing.T) {
			t.Parallel()
			g := startInternet(t, c.host, c.location)
			cmd := program(t, "-gcp", parent)
			cmd.Env = append(cmd.Env, g.env...)
			stdout, stderr, code := runProgram(t, cmd)
			wantAllWell(t, stdout, stderr, code)
			g.wantUsed(t, c.host+":443")
			if !strings.Contains(stdout, "Google Secret Manager, in your "+parent+"\n") {
				t.Errorf("it does not say where it writes:\n%s", stdout)
			}
		})
	}
	t.Run("an endpoint", func(t *testing.T) {
		t.Parallel()
		g := startInternet(t, "secrets.example.com", "")
		cmd := program(t, "-gcp", "projects/my-project", "-endpoint", "secrets.example.com:8443")
		cmd.Env = append(cmd.Env, g.env...)
		stdout, stderr, code := runProgram(t, cmd)
		wantAllWell(t, stdout, stderr, code)
		g.wantUsed(t, "secrets.example.com:8443")
	})
	t.Run("without credentials", func(t *testing.T) {
		stdout, stderr, code := runProgram(t, program(t, "-gcp", "projects/my-project"))
		wantFailure(t, stdout, stderr, code, "the client of Google Secret Manager: ")
	})
}

// An internet is what a program finds behind a proxy: the double, in place of a host of
// Google's, which only a program with credentials trusts.
type internet struct {
	env    []string // of a program that uses it
	double *gcpsmtest.Server

	mu     sync.Mutex
	called []string // hosts
}

func startInternet(t *testing.T, host, location string) *internet {
	t.Helper()
	g := &internet{}
	cert, trusted := certificate(t, host)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	opts := []gcpsmtest.Option{gcpsmtest.WithListener(listener)}
	if location != "" {
		opts = append(opts, gcpsmtest.WithLocation(location))
	}
	g.double = gcpsmtest.NewServer(opts...)
	t.Cleanup(g.double.Close)
	proxy := httptest.NewServer(http.HandlerFunc(g.connect))
	t.Cleanup(proxy.Close)
	g.env = []string{"HTTPS_PROXY=" + proxy.URL, "SSL_CERT_FILE=" + trusted, "GOOGLE_APPLICATION_CREDENTIALS=" + account(t)}
	return g
}

// connect is the proxy: whichever host is asked for, it is the double.
func (g *internet) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	g.mu.Lock()
	g.called = append(g.called, r.Host)
	g.mu.Unlock()
	out, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", g.double.Addr)
	if err != nil {
		http.Error(w, "the double is closed", http.StatusBadGateway)
		return
	}
	defer out.Close()
	in, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	if _, err := io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(out, buffered)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
}

// wantUsed makes sure that an address was called, and no other, and nothing is left there.
func (g *internet) wantUsed(t *testing.T, addr string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.called) == 0 || len(slices.DeleteFunc(g.called, func(a string) bool { return a == addr })) > 0 {
		t.Errorf("other addresses than %s were called, or none: %q", addr, g.called)
	}
	if left := ids(g.double); len(left) > 0 || len(g.double.Calls()) == 0 {
		t.Errorf("%q are left, after %d calls", left, len(g.double.Calls()))
	}
}

// certificate makes one for a host, and a file of those who trust it.
func certificate(t *testing.T, host string) (cert tls.Certificate, trusted string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	trusted = filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, trusted
}

// account makes a file of credentials. Nobody has to be asked for a token: the client
// signs its own.
func account(t *testing.T) (file string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "my-project", "private_key_id": "1",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": "quickstart@my-project.iam.gserviceaccount.com", "client_id": "1",
		"token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
