package stage

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The folders of child processes, and the file in each that this process has locked. The kernel
// unlocks it when the process ends, however it ends.
const (
	folderPrefix = "tokenkeep-stage-"
	lockName     = "lock"
)

// folder makes one, and locks it until the file is closed.
func folder() (dir string, lock *os.File, err error) {
	if dir, err = os.MkdirTemp("", folderPrefix); err != nil {
		return "", nil, err
	}
	lock, err = os.Create(filepath.Join(dir, lockName))
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, lock, nil
}

// making is how long it takes at most from the making of a folder until it is locked.
const making = time.Minute

// sweepFolders removes those in a parent whose processes are gone.
func sweepFolders(parent string) error {
	locks, err := filepath.Glob(filepath.Join(parent, folderPrefix+"*", lockName))
	errs := []error{err}
	for _, path := range locks {
		lock, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue // it is gone, or another user's
		}
		info, err := lock.Stat()
		if err == nil && time.Since(info.ModTime()) > making && syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			errs = append(errs, os.RemoveAll(filepath.Dir(path)))
		}
		errs = append(errs, err, lock.Close())
	}
	return errors.Join(errs...)
}
