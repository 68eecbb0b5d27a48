package verb

import (
	"errors"
	"fmt"
	"os"
)

// Replace opens a file to be written. What is at path stays until done is told
// that all went well; a pipe or a device is written as it is.
func Replace(path string) (f *os.File, done func(error) error, err error) {
	mode := os.FileMode(0o666)
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
		return f, func(err error) error { return errors.Join(err, f.Close()) }, err
	} else if err == nil {
		mode = st.Mode().Perm()
	}
	part := fmt.Sprintf("%s.part-%d", path, os.Getpid())
	if f, err = os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode); err != nil {
		return nil, nil, err
	}
	return f, func(err error) error {
		if err = errors.Join(err, f.Close()); err == nil {
			err = os.Rename(part, path)
		}
		if err != nil {
			_ = os.Remove(part)
		}
		return err
	}, nil
}
