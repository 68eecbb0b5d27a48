package object

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"

	"ebofs/tools/verb"
)

// journal is the file of --acked: one line "sha256 size name" for each object
// whose transaction was committed. Lines are appended by one write each, so
// that a killed process leaves whole lines but possibly the last. A name that
// holds a line break or a backslash is escaped, and a backslash before the
// checksum says so, as sha256sum does. The first line names the store. Before an
// object it names is replaced, its line is taken back by one with the checksum
// notKnown: a kill may leave either version.
type journal struct {
	mu sync.Mutex
	f  *os.File
}

// journalHead begins the first line; the store's id follows. Journals of older
// releases have no such line.
const journalHead = "# objects of store "

// notKnown stands for the checksum of an object that is being replaced.
var notKnown = strings.Repeat("0", 64)

// openJournal opens a journal of that store for more lines. A last line that a
// power cut left without its end is cut off.
func openJournal(path, store string) (*journal, error) {
	if err := checkJournal(path, store); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	if err := cutTail(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		if err == nil {
			_, err = fmt.Fprintf(f, "%s%s\n", journalHead, store)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
		}
	}
	return &journal{f: f}, nil
}

// checkJournal refuses a journal of another store than the one of that id.
func checkJournal(path, store string) error {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() {
		return err // a pipe cannot be looked at
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	if errors.Is(err, io.EOF) {
		return nil // empty, or nothing but a line cut short
	}
	if err != nil {
		return err
	}
	if other, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), journalHead); ok && other != store {
		return &verb.Failure{Code: "E-JOURNAL", Message: fmt.Sprintf("%s: the journal of store %s, not of %s", path, shorten(other), store), Hint: "Nothing was written."}
	}
	return nil
}

// cutTail truncates f behind its last line break.
func cutTail(f *os.File) error {
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return err // a pipe has no tail
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for at := end; at > 0; {
		n := min(at, int64(len(buf)))
		at -= n
		if _, err := f.ReadAt(buf[:n], at); err != nil {
			return err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			if keep := at + int64(i) + 1; keep < end {
				return f.Truncate(keep)
			}
			return nil
		}
	}
	if end > 0 {
		return f.Truncate(0)
	}
	return nil
}

func (j *journal) add(sum string, size int64, name string) error {
	if j == nil {
		return nil
	}
	mark := ""
	if strings.ContainsAny(name, "\\\n\r") {
		mark, name = `\`, strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(name)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err := fmt.Fprintf(j.f, "%s%s %d %s\n", mark, sum, size, name)
	return err
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return j.f.Close()
}

// Acked is one line of an --acked journal.
type Acked struct {
	SHA256 string // all zeros: the object was about to be replaced
	Size   int64
	Name   string
}

var errJournal = errors.New("not a journal of import --acked")

// ReadJournal calls fn for every line. A last line without its end is what a
// killed import left, and is passed over. Later lines about a name replace
// earlier ones; that is fn's business.
func ReadJournal(r io.Reader, fn func(Acked) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n == 1 && strings.HasPrefix(line, journalHead) {
			continue
		}
		a, ok := parseAcked(strings.TrimSuffix(line, "\n"))
		if !ok {
			return fmt.Errorf("line %d: %w", n, errJournal)
		}
		if err := fn(a); err != nil {
			return err
		}
	}
}

// readAcked returns what a journal says of each name; nothing if it is not there
// yet, or no file.
func readAcked(path string) (map[string]Acked, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.Mode().IsRegular() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	known := map[string]Acked{}
	err = ReadJournal(f, func(a Acked) error {
		if known[a.Name] = a; a.SHA256 == notKnown {
			delete(known, a.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return known, nil
}

func parseAcked(line string) (a Acked, ok bool) {
	line, escaped := strings.CutPrefix(line, `\`)
	sum, rest, ok1 := strings.Cut(line, " ")
	size, name, ok2 := strings.Cut(rest, " ")
	n, err := strconv.ParseInt(size, 10, 64)
	if !ok1 || !ok2 || err != nil || n < 0 || len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" || name == "" {
		return a, false
	}
	if escaped {
		name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
	}
	return Acked{sum, n, name}, true
}
