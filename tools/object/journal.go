package object

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"ebofs/tools/output"
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

// openJournal opens a journal of that store for more lines, and returns what it
// says of each name. A last line that a power cut left without its end is cut off;
// what is no journal of that store is not touched.
func openJournal(path, store string, sources ...string) (*journal, map[string]Acked, error) {
	if err := output.Check(path, sources...); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, err
	}
	known, err := takeUp(f, store)
	if err != nil {
		return nil, nil, errors.Join(explainJournal(path, err), f.Close())
	}
	return &journal{f: f}, known, nil
}

// takeUp reads the journal f and leaves it ready for the next line. A pipe cannot
// be read and has no tail.
func takeUp(f *os.File, store string) (map[string]Acked, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	known, whole, head := map[string]Acked{}, int64(0), journalHead+store+"\n"
	if st.Mode().IsRegular() {
		var tail string
		whole, tail, err = scanJournal(f, store, func(a Acked) error {
			if known[a.Name] = a; a.SHA256 == notKnown {
				delete(known, a.Name)
			}
			return nil
		})
		if err == nil && whole == 0 && !strings.HasPrefix(head, tail) {
			err = fmt.Errorf("line 1: %w", errJournal)
		}
		if err == nil && tail != "" {
			err = f.Truncate(whole)
		}
		if err != nil {
			return nil, err
		}
	}
	if whole == 0 {
		_, err = f.WriteString(head)
	}
	return known, err
}

// explainJournal turns an error about the journal at path into a failure.
func explainJournal(path string, err error) error {
	if other := (otherStore{}); errors.Is(err, errJournal) || errors.As(err, &other) {
		return &verb.Failure{Code: "E-JOURNAL", Message: fmt.Sprintf("%s: %v", path, err), Hint: "Nothing was written.", Err: err}
	}
	return fmt.Errorf("%s: %w", path, err)
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

// otherStore is the error for a journal of another store.
type otherStore struct{ has, want string }

func (e otherStore) Error() string {
	return fmt.Sprintf("the journal of store %s, not of %s", shorten(e.has), e.want)
}

// maxLine is more bytes than any line has: names are far shorter.
const maxLine = 64 << 10

// ReadJournal calls fn for every line. A last line without its end is what a
// killed import left, and is passed over. Later lines about a name replace
// earlier ones; that is fn's business.
func ReadJournal(r io.Reader, fn func(Acked) error) error {
	_, _, err := scanJournal(r, "", fn)
	return err
}

// scanJournal is ReadJournal that refuses journals of another store than the one
// of that id, if it is not "". It returns how many bytes the whole lines have, and
// the last line if its end is missing.
func scanJournal(r io.Reader, store string, fn func(Acked) error) (whole int64, tail string, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	for n := 1; ; n++ {
		p, err := in.ReadSlice('\n')
		line := string(p)
		switch {
		case errors.Is(err, io.EOF):
			return whole, line, nil
		case errors.Is(err, bufio.ErrBufferFull):
			return whole, "", fmt.Errorf("line %d: %w", n, errJournal)
		case err != nil:
			return whole, "", err
		}
		whole += int64(len(line))
		line = strings.TrimSuffix(line, "\n")
		if id, ok := strings.CutPrefix(line, journalHead); ok && n == 1 {
			if store != "" && id != store {
				return whole, "", otherStore{id, store}
			}
			continue
		}
		a, ok := parseAcked(line)
		if !ok {
			return whole, "", fmt.Errorf("line %d: %w", n, errJournal)
		}
		if err := fn(a); err != nil {
			return whole, "", err
		}
	}
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
