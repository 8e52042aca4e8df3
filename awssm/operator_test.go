package awssm_test

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenkeep/tokenkeep/token/driver"
)

// What docs/aws.md says about changes by hand.

func TestAnOldValueThatIsPutBackByHandCanBeReplaced(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	old := first(t)
	put(t, d, "a", after(t, old), put(t, d, "a", old, driver.Absent))
	if _, err := s.SetValue(prefix+"/a", string(old)); err != nil {
		t.Fatal(err)
	}
	got := get(t, d, "a")
	if string(got.Value) != string(old) {
		t.Fatal("the value that was put back is not read")
	}
	next := after(t, old)
	put(t, d, "a", next, got.Revision)
	s.holds(t, "a", next)
}

func TestALabelThatIsMovedBackByHandMakesWritesFail(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	next := put(t, d, "a", after(t, value), rev)
	move := func(to, from driver.Revision) {
		t.Helper()
		_, err := s.sdk(t).UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: aws.String(prefix + "/a"), VersionStage: aws.String("AWSCURRENT"),
			MoveToVersionId: aws.String(string(to)), RemoveFromVersionId: aws.String(string(from)),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	move(rev, next)
	got := get(t, d, "a")
	if _, err := d.Put(t.Context(), "a", after(t, value), got.Revision); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("error %v, want %v", err, driver.ErrConflict)
	}
	move(next, rev)
	got = get(t, d, "a")
	put(t, d, "a", after(t, got.Value), got.Revision)
}

func TestASecretThatIsDeletedByHandCanBeRestored(t *testing.T) {
	s := start(t)
	d := s.driver(t, nil)
	value := first(t)
	rev := put(t, d, "a", value, driver.Absent)
	if err := d.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	_, err := d.Put(t.Context(), "a", after(t, value), rev)
	if !errors.Is(err, driver.ErrDeleted) {
		t.Errorf("error %v, want %v", err, driver.ErrDeleted)
	}
	if _, err := s.sdk(t).RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String(prefix + "/a")}); err != nil {
		t.Fatal(err)
	}
	put(t, d, "a", after(t, value), rev)
}
