package asok

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

// serve starts a server with two commands of its own in a directory of its own.
func serve(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "run")
	}
	o.Name, o.Version = "x", "1.0"
	s, err := Listen(o, Command{
		Name: "echo", Help: "say it again", Args: []Arg{
			{Name: "text", Kind: String, Required: true, Help: "what"}, {Name: "times", Kind: Int}, {Name: "how", Kind: Choice, Choices: []string{"low", "loud"}}, {Name: "end", Kind: Bool},
		},
		Run: func(_ context.Context, r *Request) (any, error) {
			return map[string]any{"text": r.String("text"), "times": r.Int("times"), "how": r.String("how"), "end": r.Bool("end"), "has": r.Has("times")}, nil
		},
	}, Command{
		Name: "echo fail", Help: "fail", Run: func(context.Context, *Request) (any, error) {
			return nil, fmt.Errorf("no echo here: %w", syscall.ENOENT)
		},
	}, Command{
		Name: "wait", Help: "wait for the end", Run: func(ctx context.Context, _ *Request) (any, error) {
			<-ctx.Done()
			return Text("ended"), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestRequests: what is answered to what.
func TestRequests(t *testing.T) {
	s := serve(t, Options{})
	for _, x := range []struct{ request, want string }{
		{`{"prefix":"version","format":"json"}`, `{"version":"1.0"}` + "\n"},
		{`{"prefix":"version"}`, "{\n    \"version\": \"1.0\"\n}\n"},
		{`version`, "{\n    \"version\": \"1.0\"\n}\n"},
		{` {"format":"json","prefix":"echo","text":"a b","times":3,"how":"loud","end":true} `, `{"end":true,"has":true,"how":"loud","text":"a b","times":3}` + "\n"},
		{`{"prefix":"echo","text":"a","times":"4","target":["mon",""],"format":"json"}`, `{"end":false,"has":true,"how":"","text":"a","times":4}` + "\n"},
		{`echo a 5 low true`, "{\n    \"end\": true,\n    \"has\": true,\n    \"how\": \"low\",\n    \"text\": \"a\",\n    \"times\": 5\n}\n"},
		{`echo fail`, "ERROR: (2) no such file or directory\nno echo here\n"}, // the longest name wins
		{`echo`, "ERROR: (22) invalid argument\necho: text is missing\n"},
		{`echo a 1 low true more`, "ERROR: (22) invalid argument\necho: too many words: \"more\"\n"},
		{`echo a -1`, "ERROR: (22) invalid argument\necho: times: -1: not a number from 0 on\n"},
		{`{"prefix":"echo","text":5}`, "ERROR: (22) invalid argument\necho: text: not a string\n"},
		{`{"prefix":"echo","text":"a","times":1.5}`, "ERROR: (22) invalid argument\necho: times: 1.5: not a number from 0 on\n"},
		{`{"prefix":"echo","text":"a","how":"odd"}`, "ERROR: (22) invalid argument\necho: how: odd: it is one of low, loud\n"},
		{`{"prefix":"echo","text":"a","end":"maybe"}`, "ERROR: (22) invalid argument\necho: end: maybe: not true or false\n"},
		{`{"prefix":"echo","text":"a","volume":11}`, "ERROR: (22) invalid argument\necho: no argument \"volume\"\n"},
		{`{"prefix":"echo","text":"a","text":"b"}`, "ERROR: (22) invalid argument\n\"text\" is given twice\n"},
		{`{"prefix":"echo","text":"a"}{}`, "ERROR: (22) invalid argument\nsomething follows the request\n"},
		{`{"text":"a"}`, "ERROR: (22) invalid argument\nno \"prefix\" names the command\n"},
		{`{"prefix":`, "ERROR: (22) invalid argument\nno JSON: EOF\n"},
		{``, "ERROR: (22) invalid argument\nempty request\n"},
		{`{"prefix":"sing"}`, "ERROR: (22) invalid argument\nunknown command \"sing\"; known: echo, echo fail, get_command_descriptions, help, status, version, wait\n"},
		{`{"prefix":"echo back"}`, "ERROR: (22) invalid argument\nunknown command \"echo back\"; known: echo fail\n"},
	} {
		got, err := AskRaw(bg, s.Path(), []byte(x.request))
		if string(got) != x.want {
			t.Errorf("%s: %q, want %q", x.request, got, x.want)
		}
		var e *Error
		if failed := strings.HasPrefix(x.want, "ERROR"); failed != errors.As(err, &e) || !failed && err != nil {
			t.Errorf("%s: %v", x.request, err)
		} else if failed && !strings.Contains(x.want, e.Message) {
			t.Errorf("%s: message %q", x.request, e.Message)
		}
	}
}

// TestDescriptions: the forms that help and Ceph's command line read.
func TestDescriptions(t *testing.T) {
	s := serve(t, Options{})
	p, err := Ask(bg, s.Path(), "get_command_descriptions", nil)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]struct {
		Sig  []any
		Help string
	}
	if err := json.Unmarshal(p, &all); err != nil || len(all) != 7 {
		t.Fatal(err, len(all))
	}
	got, _ := json.Marshal(all["cmd000"].Sig)
	if want := `["echo",{"name":"text","type":"CephString"},{"name":"times","req":false,"type":"CephInt"},{"name":"how","req":false,"strings":"low|loud","type":"CephChoices"},{"name":"end","req":false,"type":"CephBool"}]`; string(got) != want {
		t.Errorf("%s", got)
	}
	p, err = Ask(bg, s.Path(), "help", map[string]any{"format": "json"})
	var help map[string]string
	if err := errors.Join(err, json.Unmarshal(p, &help)); err != nil || help["echo"] != "say it again; text: what, [times], [how=low|loud], [end]" {
		t.Error(err, help)
	}
	var st Status
	p, err = Ask(bg, s.Path(), "status", nil)
	if err := errors.Join(err, json.Unmarshal(p, &st)); err != nil || st.PID != os.Getpid() || st.Name != "x" {
		t.Error(err, st)
	}
}

// raw sends p as it is and returns all that comes back.
func raw(t *testing.T, path string, p []byte) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = c.Write(p)
	got, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	if len(got) < 4 || int(binary.BigEndian.Uint32(got)) != len(got)-4 {
		t.Fatalf("no frame: %q", got)
	}
	return string(got[4:])
}

// TestFrames: the ends of a request, and requests that have none.
func TestFrames(t *testing.T) {
	s := serve(t, Options{RequestTime: 50 * time.Millisecond})
	for _, x := range []struct{ send, want string }{
		{"version\x00", "1.0"},
		{"version\n", "1.0"},
		{"version\nand more\x00", "1.0"},
		{"\x00\x00\x00\x01", "empty request"},
		{"\xff\xfe{}\x00", "unknown command"},
		{strings.Repeat("[", 60000) + "\x00", "unknown command"},
		{`{"prefix":` + strings.Repeat("[", 60000) + "\x00", "no JSON"},
		{strings.Repeat("a", MaxRequest+1) + "\x00", "ERROR: (90)"},
		{strings.Repeat("a", 1<<20), "ERROR: (90)"}, // no end: not waited for
		{"vers", "ERROR: (110)"},                    // slow: given up
	} {
		if got := raw(t, s.Path(), []byte(x.send)); !strings.Contains(got, x.want) {
			t.Errorf("%.20q…: %.80q, want %q", x.send, got, x.want)
		}
	}
	// One that leaves in the middle harms nobody.
	for _, p := range []string{"", "vers", "version\x00"} {
		c, err := net.Dial("unix", s.Path())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(p))
		c.Close()
	}
	if _, err := Ask(bg, s.Path(), "version", nil); err != nil {
		t.Error(err)
	}
}

// TestManyClients: more than MaxConns are turned away with a reason, and served
// once there is room.
func TestManyClients(t *testing.T) {
	s := serve(t, Options{MaxConns: 4, RequestTime: 20 * time.Second})
	var waiting sync.WaitGroup
	for range 4 {
		waiting.Go(func() {
			if p, err := Ask(bg, s.Path(), "wait", nil); err != nil || string(p) != "ended" {
				t.Errorf("%q, %v", p, err)
			}
		})
	}
	for n := 0; n < 4; {
		s.mu.Lock()
		n = len(s.mu.conns)
		s.mu.Unlock()
	}
	var refused int
	for range 100 {
		_, err := Ask(bg, s.Path(), "version", nil)
		var e *Error
		if !errors.As(err, &e) || e.Errno != syscall.EBUSY {
			t.Fatal(err)
		}
		refused++
	}
	if err := s.Close(); err != nil { // ends those that wait, and answers them
		t.Fatal(err)
	}
	waiting.Wait()
	if _, err := Ask(bg, s.Path(), "version", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error("after Close:", err)
	}
}

func TestStorm(t *testing.T) {
	s := serve(t, Options{MaxConns: 8})
	var clients sync.WaitGroup
	for range 32 {
		clients.Go(func() {
			for range 20 {
				p, err := Ask(bg, s.Path(), "version", map[string]any{"format": "json"})
				if err != nil && !errors.Is(err, syscall.EBUSY) || err == nil && string(p) != `{"version":"1.0"}`+"\n" {
					t.Errorf("%q, %v", p, err)
				}
			}
		})
	}
	clients.Wait()
}

// TestStranger: another user learns nothing, not even whether a command exists.
func TestStranger(t *testing.T) {
	s := serve(t, Options{Allow: func(uid uint32) bool { return uid != uint32(os.Geteuid()) }})
	_, err := Ask(bg, s.Path(), "version", nil)
	if !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), fmt.Sprintf("user %d may not ask", os.Geteuid())) {
		t.Error(err)
	}
}

// TestSocketFile: modes, and what is removed and what is not.
func TestSocketFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	old := syscall.Umask(0o027)
	s := serve(t, Options{Dir: dir})
	syscall.Umask(old)
	for path, want := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, s.Path(): fs.ModeSocket | 0o660} {
		if st, err := os.Lstat(path); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", path, st.Mode(), err, want)
		}
	}
	if _, err := Listen(Options{Dir: dir, Name: "x"}); !errors.Is(err, ErrInUse) {
		t.Errorf("a living process' socket: %v", err)
	}
	if err := Alive(s.Path()); err != nil {
		t.Error(err)
	}

	// What a killed process leaves: the file, and nobody behind it.
	dead := Path(dir, "dead")
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if err := Alive(dead); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
	other, err := Listen(Options{Dir: dir, Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := os.Lstat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a dead process' socket is left:", err)
	}
	if err := errors.Join(Alive(s.Path()), Alive(other.Path())); err != nil {
		t.Error("a living process' socket was removed:", err)
	}
	if l, err = net.Listen("unix", dead); err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	again, err := Listen(Options{Dir: dir, Name: "dead"})
	if err != nil {
		t.Fatal("a dead process' socket:", err)
	}
	// Somebody else's by now: not ours to remove.
	if err := os.Remove(dead); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dead, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dead); err != nil {
		t.Error("removed what was not its own:", err)
	}
	if _, err := Listen(Options{Dir: dir, Name: "dead"}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that is no socket: %v", err)
	}

	if _, err := Listen(Options{Dir: dir, Name: strings.Repeat("n", 100)}); err == nil || !strings.Contains(err.Error(), "at most 107 bytes") {
		t.Error(err)
	}
	if _, err := AskRaw(bg, strings.Repeat("n", 200), nil); err == nil || !strings.Contains(err.Error(), "at most 107 bytes") {
		t.Error(err)
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Options{Dir: open, Name: "x"}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a directory open to others: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(Options{Dir: link, Name: "x"}); !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a link in place of the directory: %v", err)
	}
}

// TestOneWins: of servers that start at once over a dead socket one gets it.
func TestOneWins(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		l, err := net.Listen("unix", Path(dir, "x"))
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
		servers := make([]*Server, 4)
		var start sync.WaitGroup
		for i := range servers {
			start.Go(func() {
				s, err := Listen(Options{Dir: dir, Name: "x"})
				if err != nil && !errors.Is(err, ErrInUse) {
					t.Error(err)
				}
				servers[i] = s
			})
		}
		start.Wait()
		var won *Server
		for _, s := range servers {
			if s != nil && won != nil {
				t.Fatal("two servers have one socket")
			} else if s != nil {
				won = s
			}
		}
		if won == nil {
			t.Fatal("no server has the socket")
		}
		if _, err := Ask(bg, won.Path(), "version", nil); err != nil {
			t.Error(err)
		}
		if err := won.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestAnswers: a server that answers badly does not hang or cost memory.
func TestAnswers(t *testing.T) {
	for _, answer := range []string{"", "\x00\x00", "\x00\x00\x00\x05abc", "\xff\xff\xff\xff", "\x0f\xff\xff\xffx"} {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.ReadFull(c, make([]byte, 2))
			io.WriteString(c, answer)
			c.Close()
		}()
		if p, err := Ask(bg, path, "x", nil); err == nil {
			t.Errorf("%q: %q", answer, p)
		}
		l.Close()
		<-done
	}
	// One that never answers.
	s := serve(t, Options{})
	ctx, cancel := context.WithTimeout(bg, 20*time.Millisecond)
	defer cancel()
	if _, err := Ask(ctx, s.Path(), "wait", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	ctx, cancel = context.WithCancel(bg)
	cancel()
	if _, err := Ask(ctx, s.Path(), "wait", nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzDecode: no request harms, and one that is understood is as it was declared.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"prefix":"echo","text":"a","n":1,"b":true}`, `echo a 1`, `{"prefix":"echo","n":"99999999999999999999"}`, `{"a":{"b":[1,{}]}}`, "{}", " "} {
		f.Add([]byte(s))
	}
	c := Command{Name: "echo", Args: []Arg{{Name: "text", Kind: String, Required: true}, {Name: "n", Kind: Int}, {Name: "b", Kind: Bool}, {Name: "c", Kind: Choice, Choices: []string{"x"}}}}
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := Decode(p)
		if err != nil {
			if !errors.Is(err, errInvalid) && !errors.Is(err, syscall.EMSGSIZE) {
				t.Fatalf("%v has no errno", err)
			}
			return
		}
		if r.words == nil && r.Prefix == "" {
			t.Fatal("no command")
		}
		if r.words != nil && (len(r.words) == 0 || r.words[0] != "echo") || r.bind(&c) != nil {
			return
		}
		if r.Prefix != "echo" || !r.Has("text") || r.Int("n") < 0 || r.Has("c") && r.String("c") != "x" || len(r.args) > len(c.Args) {
			t.Fatalf("%+v", r)
		}
	})
}
