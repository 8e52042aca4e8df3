package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/awssm/awssmtest"
	tokens "github.com/tokenkeep/tokenkeep/token"
	"github.com/tokenkeep/tokenkeep/token/memstore"
	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What README shows compiles, since it is the body of a function here or beside. Before the first
// stand its imports. Those that make another store end where the first goes on.
func TestTheCodeOfTheReadmeIsThatOfThisProgram(t *testing.T) {
	var shown []string
	for _, m := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readme(t), -1) {
		shown = append(shown, m[1])
	}
	compiled := []string{
		imports(t, "keep"), body(t, "main.go", "keep"),
		strings.TrimSuffix(body(t, "main.go", "atGoogle"), "return migrate(ctx, store)\n"),
		strings.TrimSuffix(body(t, "main.go", "inVault"), "return migrate(ctx, store)\n"),
		body(t, "main.go", "call"),
		body(t, "../lambda/function.go", "ask"), body(t, "../cloudrun/server.go", "end"), body(t, "../kubernetes/job.go", "login"),
		body(t, "main.go", "mend"), body(t, "main.go", "migrate"), body(t, "main.go", "double"),
	}
	if diff := cmp.Diff(compiled, shown); diff != "" {
		t.Errorf("the go blocks of README.md are not the bodies of the functions (-examples +README.md):\n%s", diff)
	}
}

// parse returns a file, and a function of it.
func parse(t *testing.T, from, name string) (source []byte, files *token.FileSet, file *ast.File, f *ast.FuncDecl) {
	t.Helper()
	source, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	files = token.NewFileSet()
	file, err = parser.ParseFile(files, from, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			return source, files, file, f
		}
	}
	t.Fatalf("%s has no function %s", from, name)
	return nil, nil, nil, nil
}

// body returns the lines between the braces of a function, one tab to the left.
func body(t *testing.T, from, name string) string {
	t.Helper()
	source, files, _, f := parse(t, from, name)
	text := string(source[files.Position(f.Body.Lbrace).Offset+2 : files.Position(f.Body.Rbrace).Offset])
	return strings.ReplaceAll(strings.TrimPrefix(text, "\t"), "\n\t", "\n")
}

// imports returns the declaration of what the body of a function imports, in the
// groups of main.go.
func imports(t *testing.T, name string) string {
	t.Helper()
	_, files, file, f := parse(t, "main.go", name)
	used := map[string]bool{}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				used[x.Name] = true
			}
		}
		return true
	})
	groups := []string{""}
	last := 0
	for _, i := range file.Imports {
		line := files.Position(i.Pos()).Line
		if last != 0 && line > last+1 {
			groups = append(groups, "")
		}
		last = line
		if used[path.Base(strings.Trim(i.Path.Value, `"`))] {
			groups[len(groups)-1] += "\t" + i.Path.Value + "\n"
		}
	}
	return "import (\n" + strings.Join(groups, "\n") + ")\n"
}

// It also runs, with the SDK set up as a program sets it up, from the environment.
func TestTheCodeOfTheReadmeWorks(t *testing.T) {
	srv := awssmtest.NewServer(awssmtest.WithRegion("eu-central-1"))
	t.Cleanup(srv.Close)
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": srv.URL, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example",
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none,
	} {
		t.Setenv(name, value)
	}
	for range 2 {
		if err := keep(t.Context(), "refresh", "access", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if names := srv.Names(); len(names) != 2 {
		t.Errorf("one token, saved twice, made %q", names)
	}
}

func TestTheCodeForGoogleNeedsCredentials(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none"))
	if err := atGoogle(t.Context()); err == nil {
		t.Error("it works without credentials")
	}
}

func TestTheCodeForVaultWorks(t *testing.T) {
	srv := vaultstoretest.NewServer()
	t.Cleanup(srv.Close)
	for name, value := range map[string]string{
		"VAULT_ADDR": srv.URL, "VAULT_TOKEN": vaultstoretest.RootToken, "VAULT_AGENT_ADDR": "", "VAULT_NAMESPACE": "", "VAULT_HEADERS": "",
	} {
		t.Setenv(name, value)
	}
	zohoFile(t)
	for range 2 {
		if err := inVault(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if names := srv.Names("secret"); len(names) != 6 {
		t.Errorf("five tokens, saved twice, made %q", names)
	}
}

func TestMigrateSavesTheFileAndMayBeCalledAgain(t *testing.T) {
	zohoFile(t)
	store, err := double(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := migrate(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		if all, err := store.GetTokens(t.Context()); len(all) != 5 || err != nil {
			t.Errorf("%d tokens, %v, want 5", len(all), err)
		}
	}
}

// zohoFile makes the working directory one in which there is a file with five tokens.
func zohoFile(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile("../../zohofile/testdata/sdk_tokens.python.txt")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("sdk_tokens.txt", data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheReadmeBeginsWithTheCommandsOfANewcomer(t *testing.T) {
	var commands []string
	for _, m := range regexp.MustCompile(`(?m)^    (\S.*?)(   .*)?$`).FindAllStringSubmatch(readme(t), -1) {
		commands = append(commands, m[1])
	}
	want := []string{
		"go run ./examples/quickstart", "go run ./examples/refresh", "make test",
		"go run ./examples/quickstart -store gcpsm", "go run ./examples/quickstart -store vaultstore",
		"go get github.com/tokenkeep/tokenkeep",
	}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("the commands of README.md (-want +got):\n%s", diff)
	}
}

// A row of a table that begins with a name in code.
var rowName = regexp.MustCompile("(?m)^\\| `(\\w+)`")

func TestTheReadmeNamesEveryError(t *testing.T) {
	var exported []string
	file, err := parser.ParseFile(token.NewFileSet(), "../../token/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name := range file.Scope.Objects {
		if strings.HasPrefix(name, "Err") {
			exported = append(exported, name)
		}
	}
	var named []string
	for _, m := range rowName.FindAllStringSubmatch(readme(t), -1) {
		if strings.HasPrefix(m[1], "Err") {
			named = append(named, m[1])
		}
	}
	slices.Sort(exported)
	slices.Sort(named)
	if diff := cmp.Diff(exported, named); diff != "" {
		t.Errorf("(-token/errors.go +README.md)\n%s", diff)
	}
}

func TestTheLinksOfTheReadmeLeadSomewhere(t *testing.T) {
	text := readme(t)
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(m[1], "https://") {
			continue
		}
		file, heading, _ := strings.Cut(m[1], "#")
		target := text
		if file != "" {
			data, err := os.ReadFile(filepath.Join("../..", file))
			if err != nil {
				t.Errorf("link to %s: %v", m[1], err)
				continue
			}
			target = string(data)
		}
		if heading != "" && !slices.Contains(anchors(target), heading) {
			t.Errorf("link to %s: there is no such heading", m[1])
		}
	}
}

func TestMendMendsAStore(t *testing.T) {
	d := memstore.NewDriver()
	store, err := tokens.NewStore(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	saveAll(t.Context(), t, store, user(1, ""))
	d.Remove("index")
	for range 2 {
		if err := mend(t.Context(), store); err != nil {
			t.Fatal(err)
		}
		if _, err := store.FindToken(t.Context(), byUser(1)); err != nil {
			t.Error(err)
		}
	}
}

// anchors returns the names of the headings, as they are linked to.
func anchors(markdown string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(markdown, -1) {
		name := strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")
		names = append(names, regexp.MustCompile(`[^\w-]`).ReplaceAllString(name, ""))
	}
	return names
}

// user returns a token such as users of Zoho have, with an id if it is not empty.
func user(n int, id string) *tokens.OAuthToken {
	return &tokens.OAuthToken{
		ID:            id,
		UserSignature: tokens.UserSignature{Name: fmt.Sprintf("user-%d@example.com:6000%d", n, n)},
		ClientID:      "1000.CLIENT",
		ClientSecret:  tokens.NewSecret("client secret"),
		RefreshToken:  tokens.NewSecret(fmt.Sprintf("1000.refresh.%d", n)),
		AccessToken:   tokens.NewSecret(fmt.Sprintf("1000.access.%d", n)),
	}
}

func byUser(n int) *tokens.OAuthToken {
	return &tokens.OAuthToken{UserSignature: user(n, "").UserSignature}
}

func saveAll(ctx context.Context, t *testing.T, store *tokens.Store, list ...*tokens.OAuthToken) {
	t.Helper()
	if err := store.SaveTokens(ctx, list); err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}
