package output

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"ebofs/tools/probe"
	"ebofs/tools/verb"
)

// CodeOutput is the code of an output file that is refused.
const CodeOutput = "E-OUTPUT"

// Check says early whether Create will refuse the file path.
func Check(path string, sources ...string) error {
	_, err := look(path, sources)
	return err
}

// look finds what is at path, links followed, and refuses what must not be written
// over. It returns nil if nothing is there.
func look(path string, sources []string) (fs.FileInfo, error) {
	refuse := func(format string, args ...any) error {
		return &verb.Failure{Code: CodeOutput, Message: fmt.Sprintf("%s: not written over: it ", path) + fmt.Sprintf(format, args...), Hint: "Nothing was written. Give another name."}
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, s := range sources {
		if other, err := os.Stat(s); err == nil && os.SameFile(st, other) {
			if s == path {
				return nil, refuse("is what this command works on")
			}
			return nil, refuse("is %s, which this command works on", s)
		}
	}
	switch mode := st.Mode(); {
	case mode&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice:
		return nil, refuse("is a block device")
	case mode.IsDir():
		return nil, refuse("is a directory")
	case !mode.IsRegular():
		return st, nil
	}
	if users := probe.Behind(path); users != nil {
		return nil, refuse("is in use (%s)", users[0].What)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err // what cannot be looked at may be a store
	}
	defer f.Close()
	stores, err := probe.Stores(f, st.Size())
	if stores != nil {
		return nil, refuse("holds %s", stores[0])
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return st, nil
}
