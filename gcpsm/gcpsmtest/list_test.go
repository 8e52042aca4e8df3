package gcpsmtest_test

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc/codes"

	"github.com/tokenkeep/tokenkeep/gcpsm/gcpsmtest"
)

// all drains an iterator into the last parts of names.
func all[T interface{ GetName() string }](next func() (T, error)) ([]string, error) {
	ids := []string{}
	for {
		item, err := next()
		if errors.Is(err, iterator.Done) {
			return ids, nil
		}
		if err != nil {
			return ids, err
		}
		ids = append(ids, path.Base(item.GetName()))
	}
}

// list returns the ids of the secrets.
func list(t *testing.T, client *secretmanager.Client, filter string) []string {
	t.Helper()
	return must(all(client.ListSecrets(t.Context(), &pb.ListSecretsRequest{Parent: project, Filter: filter}).Next))(t)
}

// listVersions returns the numbers of the versions.
func listVersions(t *testing.T, client *secretmanager.Client, id, filter string) []string {
	t.Helper()
	return must(all(client.ListSecretVersions(t.Context(), &pb.ListSecretVersionsRequest{Parent: project + "/secrets/" + id, Filter: filter}).Next))(t)
}

func want(t *testing.T, got []string, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Fields(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestPages(t *testing.T) {
	_, client := start(t)
	for i := range 5 {
		create(t, client, fmt.Sprint("s", i))
		must(add(t.Context(), client, "s0", "v"))(t)
	}
	secrets := func(size int32, token, filter string) (*pb.ListSecretsResponse, error) {
		it := client.ListSecrets(t.Context(), &pb.ListSecretsRequest{Parent: project, Filter: filter, PageSize: size, PageToken: token})
		_, _, err := it.InternalFetch(int(size), token)
		out, _ := it.Response.(*pb.ListSecretsResponse)
		return out, err
	}
	versions := func(size int32, token, filter string) (*pb.ListSecretVersionsResponse, error) {
		it := client.ListSecretVersions(t.Context(), &pb.ListSecretVersionsRequest{Parent: project + "/secrets/s0", Filter: filter, PageSize: size, PageToken: token})
		_, _, err := it.InternalFetch(int(size), token)
		out, _ := it.Response.(*pb.ListSecretVersionsResponse)
		return out, err
	}
	t.Run("the newest comes first", func(t *testing.T) {
		want(t, list(t, client, ""), "s4 s3 s2 s1 s0")
		want(t, listVersions(t, client, "s0", ""), "5 4 3 2 1")
	})
	t.Run("pages have the size that was asked for, and all secrets are counted", func(t *testing.T) {
		first := must(secrets(3, "", ""))(t)
		second := must(secrets(3, first.GetNextPageToken(), ""))(t)
		if len(first.GetSecrets()) != 3 || len(second.GetSecrets()) != 2 || second.GetNextPageToken() != "" || first.GetTotalSize() != 5 || second.GetTotalSize() != 5 {
			t.Errorf("%v\n%v", first, second)
		}
		v := must(versions(3, "", ""))(t)
		w := must(versions(3, v.GetNextPageToken(), ""))(t)
		if len(v.GetVersions()) != 3 || len(w.GetVersions()) != 2 || w.GetNextPageToken() != "" || v.GetTotalSize() != 5 {
			t.Errorf("%v\n%v", v, w)
		}
	})
	t.Run("with a filter pages may be short, and nothing is counted", func(t *testing.T) {
		first := must(secrets(2, "", "name:s0"))(t)
		if len(first.GetSecrets()) != 0 || first.GetNextPageToken() == "" || first.GetTotalSize() != 0 {
			t.Error(first)
		}
		want(t, list(t, client, "name:s0"), "s0")
		if v := must(versions(2, "", "state:ENABLED"))(t); len(v.GetVersions()) != 2 || v.GetTotalSize() != 0 {
			t.Error(v)
		}
	})
	t.Run("what comes or goes between pages moves nothing", func(t *testing.T) {
		first := must(secrets(2, "", ""))(t)
		create(t, client, "new")
		if err := client.DeleteSecret(t.Context(), &pb.DeleteSecretRequest{Name: project + "/secrets/s3"}); err != nil {
			t.Fatal(err)
		}
		second := must(secrets(9, first.GetNextPageToken(), ""))(t)
		var ids []string
		for _, s := range second.GetSecrets() {
			ids = append(ids, path.Base(s.GetName()))
		}
		want(t, ids, "s2 s1 s0")
	})
	t.Run("a token serves the list and the filter that it is from", func(t *testing.T) {
		token := must(secrets(1, "", ""))(t).GetNextPageToken()
		for _, bad := range []string{"garbage", "%", "bnVsbA"} {
			_, err := secrets(1, bad, "")
			wantError(t, err, codes.InvalidArgument, "page token")
		}
		_, err := secrets(1, token, "name:s")
		wantError(t, err, codes.InvalidArgument, "page token")
		_, err = versions(1, token, "")
		wantError(t, err, codes.InvalidArgument, "page token")
	})
	t.Run("a negative size is refused, a large one capped", func(t *testing.T) {
		_, err := secrets(-1, "", "")
		wantError(t, err, codes.InvalidArgument, "page size")
		must(secrets(1<<30, "", ""))(t)
	})
	t.Run("the server may make its pages shorter than asked for", func(t *testing.T) {
		_, client := start(t, gcpsmtest.WithMaxPage(1))
		for i := range 3 {
			create(t, client, fmt.Sprint("s", i))
		}
		it := client.ListSecrets(t.Context(), &pb.ListSecretsRequest{Parent: project, PageSize: 100})
		if page, token, err := it.InternalFetch(100, ""); err != nil || len(page) != 1 || token == "" {
			t.Errorf("%d secrets, next %q, %v", len(page), token, err)
		}
		want(t, list(t, client, ""), "s2 s1 s0")
	})
	t.Run("other projects are not listed", func(t *testing.T) {
		ids := must(all(client.ListSecrets(t.Context(), &pb.ListSecretsRequest{Parent: "projects/other"}).Next))(t)
		want(t, ids, "")
	})
	t.Run("versions of a missing secret are NOT_FOUND", func(t *testing.T) {
		_, err := all(client.ListSecretVersions(t.Context(), &pb.ListSecretVersionsRequest{Parent: project + "/secrets/missing"}).Next)
		wantError(t, err, codes.NotFound, "/secrets/missing] not found.")
	})
	t.Run("a location is no parent of the global service", func(t *testing.T) {
		_, err := all(client.ListSecrets(t.Context(), &pb.ListSecretsRequest{Parent: project + "/locations/us-east1"}).Next)
		wantError(t, err, codes.InvalidArgument, "expected format [projects/*]")
	})
}
