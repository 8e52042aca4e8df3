package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/tokenkeep/tokenkeep/examples/authserver"
	"github.com/tokenkeep/tokenkeep/gcpsm"
	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
	"github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/tokensource"
)

// A project is what a server finds: Google with the roles of docs/gcp.md, and an OAuth server. In the
// store there is a token of Ana's.
type project struct {
	secrets *gcpsmtest.Server
	oauth   *authserver.Server
	store   *token.Store
}

func startProject(t *testing.T) *project {
	t.Helper()
	p := &project{secrets: gcpsmtest.NewServer(gcpsmtest.WithPolicy(roles(t))), oauth: authserver.New()}
	t.Cleanup(p.secrets.Close)
	t.Cleanup(p.oauth.Close)
	client, err := p.secrets.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.store, err = gcpsm.New(client, "projects/my-project", "prod/oauth", nil); err != nil {
		t.Fatal(err)
	}
	who := &token.OAuthToken{UserSignature: token.UserSignature{Name: "ana"}, ClientSecret: token.NewSecret(authserver.ClientSecret)}
	web, err := tokensource.New(p.store, p.oauth.Config(), who, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := web.Exchange(t.Context(), p.oauth.Approve("ana")); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"PORT": "0", "PROJECT": "my-project", "TOKENS_PREFIX": "prod/oauth",
		"OAUTH_CLIENT_ID": authserver.ClientID, "OAUTH_TOKEN_URL": p.oauth.Config().Endpoint.TokenURL, "API_URL": p.oauth.API(),
	} {
		t.Setenv(name, value)
	}
	return p
}

// roles are the rights that docs/gcp.md gives: those on secrets under the prefix, and those on the project.
func roles(t *testing.T) func(permission, id string) bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/gcp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## Least role")
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(section)[1]
	secrets, project, _ := strings.Cut(block, "roles create tokenkeepProject")
	permissions := regexp.MustCompile(`secretmanager\.\w+\.\w+`)
	onSecrets, onProject := permissions.FindAllString(secrets, -1), permissions.FindAllString(project, -1)
	return func(permission, id string) bool {
		return slices.Contains(onProject, permission) || slices.Contains(onSecrets, permission) && strings.HasPrefix(id, "prod__oauth__")
	}
}

// expire makes Ana's access token one that has expired.
func (p *project) expire(t *testing.T) {
	t.Helper()
	found, err := p.store.FindToken(t.Context(), &token.OAuthToken{UserSignature: token.UserSignature{Name: "ana"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.store.UpdateToken(t.Context(), found.ID, func(r *token.OAuthToken) error {
		r.Expiry = time.Now().Add(-time.Second)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// An instance is a server that runs until stop is called, or the test ends.
type instance struct {
	url  string
	stop func() error
}

func (p *project) start(t *testing.T) *instance {
	t.Helper()
	s, err := open(t.Context(), option.WithEndpoint("passthrough:///"+p.secrets.Addr), option.WithoutAuthentication(),
		option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx, l) }()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the server ended: %v", err)
		}
	})
	return &instance{"http://" + l.Addr().String() + "/users/", stop}
}

// get returns status and body of the answer about a user.
func (i *instance) get(t *testing.T, user string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url+user, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.Status[:3] + " " + string(body)
}

const hello = "200 hello ana"

func TestAUserIsAnsweredWithoutACallToTheStoreOnceTheTokenIsKnown(t *testing.T) {
	p := startProject(t)
	i := p.start(t)
	for n := range 3 {
		if got := i.get(t, "ana"); got != hello {
			t.Fatal(got)
		}
		if calls := p.secrets.CountCalls(); n > 0 && len(calls) > 0 {
			t.Errorf("request %d asks Google: %v", n+1, calls)
		}
		p.secrets.ResetCalls()
	}
}

func TestOfManyInstancesOneRefreshes(t *testing.T) {
	p := startProject(t)
	p.expire(t)
	var wg sync.WaitGroup
	for range 3 {
		i := p.start(t)
		for range 5 {
			wg.Go(func() {
				if got := i.get(t, "ana"); got != hello {
					t.Error(got)
				}
			})
		}
	}
	wg.Wait()
	if _, spent, reused := p.oauth.Count(); spent != 1 || reused != 0 {
		t.Errorf("%d refresh tokens were spent, and %d again", spent, reused)
	}
}

func TestAUserWhoHasToLogInIsTold(t *testing.T) {
	const want = "401 the user has to log in\n"
	p := startProject(t)
	i := p.start(t)
	if got := i.get(t, "bo"); got != want {
		t.Errorf("an unknown user: %s", got)
	}
	p.expire(t)
	p.oauth.Revoke("ana")
	if got := i.get(t, "ana"); got != want {
		t.Errorf("a user who revoked the tokens: %s", got)
	}
	if p.oauth.Close(); i.get(t, "") != "404 404 page not found\n" {
		t.Error("no user is one")
	}
}

func TestAnAPIThatIsGoneIsToBeTriedAgainLater(t *testing.T) {
	p := startProject(t)
	i := p.start(t)
	p.oauth.Close()
	if got := i.get(t, "ana"); got != "503 try again later\n" {
		t.Error(got)
	}
}

// Google refuses a write for a while: the new tokens are stored when the server ends.
func TestWhatIsNotStoredYetIsStoredAtTheEnd(t *testing.T) {
	p := startProject(t)
	p.expire(t)
	i := p.start(t)
	refused := p.secrets.Inject(gcpsmtest.Fault{Methods: []string{"AddSecretVersion"}, Skip: 1, Do: gcpsmtest.FailBefore(codes.PermissionDenied, "denied")})
	if got := i.get(t, "ana"); got != hello {
		t.Fatal(got)
	}
	refused.Remove()
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	if got := p.start(t).get(t, "ana"); got != hello {
		t.Error(got)
	}
	if _, spent, reused := p.oauth.Count(); spent != 1 || reused != 0 {
		t.Errorf("%d refresh tokens were spent, and %d again", spent, reused)
	}
}

func TestAMissingVariableIsNamed(t *testing.T) {
	for _, name := range needed {
		t.Setenv(name, "")
	}
	t.Setenv("API_URL", "https://api.example")
	const want = "missing in the environment: PORT, PROJECT, TOKENS_PREFIX, OAUTH_CLIENT_ID, OAUTH_TOKEN_URL"
	if err := run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestTheManifestSetsTheVariablesThatTheProgramReads(t *testing.T) {
	data, err := os.ReadFile("service.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var service struct {
		Kind string
		Spec struct {
			Template struct {
				Spec struct {
					ServiceAccountName string `yaml:"serviceAccountName"`
					Containers         []struct {
						Env []struct{ Name, Value string }
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(data, &service); err != nil {
		t.Fatal(err)
	}
	set := []string{"PORT"} // by Cloud Run, which lets nobody else set it
	for _, e := range service.Spec.Template.Spec.Containers[0].Env {
		if set = append(set, e.Name); e.Value == "" {
			t.Errorf("%s is empty", e.Name)
		}
	}
	if diff := cmp.Diff(needed, set); diff != "" {
		t.Errorf("(-main.go +service.yaml)\n%s", diff)
	}
	if service.Kind != "Service" || service.Spec.Template.Spec.ServiceAccountName == "" {
		t.Errorf("the service is %+v", service)
	}
}
