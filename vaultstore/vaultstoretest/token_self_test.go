package vaultstoretest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenkeep/tokenkeep/vaultstore/vaultstoretest"
)

const (
	lookupSelf = "/v1/auth/token/lookup-self"
	renewSelf  = "/v1/auth/token/renew-self"
	revokeSelf = "/v1/auth/token/revoke-self"
)

func TestWhatTokensMayAskAboutThemselves(t *testing.T) {
	srv, _ := start(t)
	unsupported := func(what string) string { return "1 error occurred:\n\t* unsupported " + what + "\n\n" }
	send(t, srv, "DELETE", lookupSelf, "").says(t, 405, unsupported("operation"))
	send(t, srv, "GET", renewSelf, "").says(t, 405, unsupported("operation"))
	send(t, srv, "GET", revokeSelf, "").says(t, 405, unsupported("operation"))
	send(t, srv, "GET", lookupSelf+"/x", "").says(t, 404, unsupported("path"))
	got := send(t, srv, "GET", lookupSelf+"?x=1", "")
	if diff := cmp.Diff([]string{"Endpoint ignored these unrecognized parameters: [x]"}, got.Warnings); diff != "" {
		t.Error(diff)
	}
	if made := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC); got.Data["creation_time"] != float64(made.Unix()) {
		t.Error("the root token was made when the server was:", got.Text)
	}
	send(t, srv, "PUT", "/v1/sys/capabilities-self", `{"paths":["a",""]}`).says(t, 400, "1 error occurred:\n\t* missing path\n\n")
	batch := srv.NewToken(vaultstoretest.Token{Batch: true})
	send(t, srv, "PUT", revokeSelf, "", as(batch)).says(t, 400, "batch tokens cannot be revoked")
}

func TestARenewalThatAsksForNothingGivesAsMuchAsTheLast(t *testing.T) {
	srv, _ := start(t)
	token := srv.NewToken(vaultstoretest.Token{TTL: time.Hour})
	for _, step := range []struct {
		body string
		want float64
	}{{`{}`, 3600}, {`{"increment":"2h"}`, 7200}, {`{"increment":0}`, 7200}, {``, 7200}} {
		if got := send(t, srv, "PUT", renewSelf, step.body, as(token)); got.Auth["lease_duration"] != step.want {
			t.Errorf("%s: %s", step.body, got.Text)
		}
	}
	srv.SetAppRole(vaultstoretest.Role{Name: "app", RoleID: "r", SecretID: "s", TTL: time.Hour})
	login := send(t, srv, "PUT", "/v1/auth/approle/login", `{"role_id":"r","secret_id":"s"}`)
	token = login.Auth["client_token"].(string)
	send(t, srv, "PUT", renewSelf, `{"increment":"2h"}`, as(token)).is(t, 200)
	if got := send(t, srv, "PUT", renewSelf, `{}`, as(token)); got.Auth["lease_duration"] != 3600.0 {
		t.Error("a role says what it gives:", got.Text)
	}
}

func TestTheLastUseOfAToken(t *testing.T) {
	srv, _ := start(t)
	few := func(uses int) string { return as(srv.NewToken(vaultstoretest.Token{Uses: uses})) }
	two := few(2)
	if got := send(t, srv, "PUT", renewSelf, "", two); got.Auth["num_uses"] != 2.0 {
		t.Error("a renewal says how many there were:", got.Text)
	}
	if got := send(t, srv, "GET", lookupSelf, "", two); got.Data["num_uses"] != -1.0 {
		t.Error(got.Text)
	}
	send(t, srv, "PUT", renewSelf, "", few(1)).says(t, 400, "token not found")
	send(t, srv, "PUT", "/v1/sys/capabilities-self", `{"path":"a"}`, few(1)).says(t, 400, "1 error occurred:\n\t* invalid token\n\n")
	send(t, srv, "PUT", revokeSelf, "", few(1)).is(t, 204)
}

func TestARoleIsLockedOutAfterFiveWrongSecrets(t *testing.T) {
	srv, clock := start(t)
	for _, role := range []string{"a", "b"} {
		srv.SetAppRole(vaultstoretest.Role{Name: role, RoleID: role, SecretID: "s"})
	}
	login := func(role, secret string) reply {
		return send(t, srv, "PUT", "/v1/auth/approle/login", `{"role_id":"`+role+`","secret_id":"`+secret+`"}`, as(""))
	}
	const wrong = "invalid role or secret ID"
	for range 4 {
		login("a", "x").says(t, 400, wrong)
		login("none", "x").says(t, 400, wrong)
	}
	login("a", "s").is(t, 200) // and begins to count anew
	for range 5 {
		login("a", "x").says(t, 400, wrong)
	}
	login("a", "s").says(t, 403, "permission denied")
	login("b", "s").is(t, 200)
	login("none", "x").says(t, 400, wrong)
	clock.Advance(15*time.Minute - time.Second)
	login("a", "s").says(t, 403, "permission denied")
	clock.Advance(time.Second)
	login("a", "s").is(t, 200)

	for range 4 {
		login("b", "x").says(t, 400, wrong)
	}
	clock.Advance(15*time.Minute + time.Second)
	login("b", "x").says(t, 400, wrong)
	login("b", "s").is(t, 200)
}
