package stage

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheFolderOfAProcessThatIsGoneIsSwept(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	left := func(age time.Duration, lives bool) string {
		dir, lock, err := folder()
		if err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(dir, lockName), then, then); err != nil {
			t.Fatal(err)
		}
		if lives {
			t.Cleanup(func() { _ = lock.Close() })
		} else if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	want := map[string]bool{left(time.Hour, true): true, left(0, false): true, left(time.Hour, false): false}
	if err := sweepFolders(temp); err != nil {
		t.Fatal(err)
	}
	for dir, stays := range want {
		if _, err := os.Stat(dir); (err == nil) != stays {
			t.Errorf("%s: stays %v, %v", dir, stays, err)
		}
	}
	dir, lock, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	s := &Processes{dir: dir, lock: lock}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the stage left its folder")
	}
	if _, err := s.Start(t.Context(), Program{Name: "late", Binary: Worker}); err == nil {
		t.Error("a program was started on a stage that is closed")
	}
}
