package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ebofs/internal/asok"
	"ebofs/tools/sizes"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// Verb describes "admin".
func Verb() verb.Verb {
	return verb.Verb{
		Name: "admin", Args: "[NAME] [COMMAND...]", Short: "ask a running process through its admin socket", Schema: "ebofs.admin/1",
		Long: `Sends COMMAND to a running process and prints the answer. NAME is one of

  a store    the first characters of its id, 8 at most
  a device   the device or image that holds the store
  a daemon   osd.3, mon.a
  a socket   its path

Without NAME, lists the processes that can be asked; without COMMAND, the commands of one. Arguments of a command follow in their order, or as name=value.

Whatever has a store open for writing can be asked: an import as well as a daemon. Sockets of stores are in $EBOFS_RUN_DIR; where that is not set, in /run/ebofs for root and in $XDG_RUNTIME_DIR/ebofs for others. Those of daemons are in /run/ceph, or in /run/ebofs-daemon if the package's units run them. The protocol is that of Ceph's daemons, so the ceph command can ask, too: ceph --admin-daemon SOCKET COMMAND.

Only root and the user a process runs as may ask it.`,
		New: func(fs *pflag.FlagSet) verb.Run {
			j := &job{}
			fs.DurationVar(&j.timeout, "timeout", 10*time.Second, "give up after `TIME`")
			return j.run
		},
		Examples: []verb.Example{
			{Command: "ebofs admin", Text: "who can be asked"},
			{Command: "ebofs admin /dev/sdb", Text: "what the process that has it answers"},
			{Command: "ebofs admin 7d1f02aa perf dump", Text: "the counters of a store"},
			{Command: "ebofs admin /dev/sdb log level debug", Text: "log more from now on"},
			{Command: "ebofs admin --format json osd.3 status", Text: "for a program"},
		},
		SeeAlso: []string{"fsck", "object"},
	}
}

// Main runs the verb.
func Main(ctx context.Context, args []string, s verb.Streams) int {
	return verb.Main(ctx, Verb(), args, s)
}

type job struct {
	timeout time.Duration
}

// result is the JSON.
type result struct {
	Socket  string   `json:"socket"`
	Command string   `json:"command"`
	Answer  any      `json:"answer"` // the process's own JSON, or a string
	Known   []string `json:"known,omitempty"`
}

func (j *job) run(ctx context.Context, c *verb.Call) error {
	if j.timeout <= 0 {
		return verb.Usage("--timeout: not above zero")
	}
	if len(c.Args) == 0 {
		return j.list(ctx, c)
	}
	sock, err := find(c, c.Args[0])
	if err != nil {
		return err
	}
	known, err := j.describe(ctx, c, sock)
	if err != nil {
		return err
	}
	if len(c.Args) == 1 {
		return help(c, sock, known)
	}
	command, args, err := match(known, c.Args[1:])
	if err != nil {
		return &verb.Failure{Code: verb.CodeUsage, Message: fmt.Sprintf("%s: %v", c.Args[0], err), Hint: "What it answers: " + c.Command("admin", c.Args[0])}
	}
	p, err := j.ask(ctx, c, sock, command, args)
	if err != nil {
		return err
	}
	r := result{Socket: sock, Command: command}
	if err := json.Unmarshal(p, &r.Answer); err != nil {
		r.Answer = strings.TrimRight(string(p), "\n")
		c.Printf("%s\n", r.Answer)
	} else {
		c.Write(outline(p))
	}
	c.Set(r)
	return nil
}

// ask sends one command. Its errors are failures ready to print.
func (j *job) ask(ctx context.Context, c *verb.Call, sock, command string, args map[string]any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, j.timeout)
	defer cancel()
	p, err := asok.Ask(ctx, sock, command, args)
	var refused *asok.Error
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, context.Canceled):
		return nil, err
	case errors.As(err, &refused):
		return nil, &verb.Failure{Code: store.CodeRefused, Message: fmt.Sprintf("%s: %s", c.Args[0], refused.Message), Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return nil, &verb.Failure{Code: store.CodeSocket, Message: fmt.Sprintf("%s: no answer within %s", c.Args[0], sizes.Duration(j.timeout)), Err: err}
	}
	return nil, store.CannotAsk(c, c.Args[0], err)
}

// process is one line of the list.
type process struct {
	Name    string `json:"name"`
	Socket  string `json:"socket"`
	PID     int    `json:"pid,omitempty"`
	Device  string `json:"device,omitempty"`
	Version string `json:"version"`
}

// list names the processes that can be asked. Dead ones are not shown.
func (j *job) list(ctx context.Context, c *verb.Call) error {
	socks, err := store.Sockets(c, "")
	if err != nil {
		return err
	}
	all := []process{}
	for _, sock := range append(socks, daemons("")...) {
		ctx, cancel := context.WithTimeout(ctx, j.timeout)
		p, err := asok.Ask(ctx, sock, "status", nil)
		q, _ := asok.Ask(ctx, sock, "store status", nil)
		cancel()
		if err != nil {
			c.Log.Info("admin socket", "path", sock, "err", err)
			continue
		}
		one := process{Socket: sock, Name: strings.TrimSuffix(filepath.Base(sock), ".asok")}
		var of struct{ Path string }
		_, _ = json.Unmarshal(p, &one), json.Unmarshal(q, &of) // a daemon of Ceph's says other things
		one.Device = of.Path
		pid := ""
		if one.PID > 0 { // an OSD answers as Ceph's do, which do not say
			pid = fmt.Sprintf("pid %d  ", one.PID)
		}
		c.Printf("%-12s %s%s\n", one.Name, pid, cmp.Or(one.Device, one.Socket))
		all = append(all, one)
	}
	c.Set(map[string]any{"processes": all})
	if len(all) == 0 {
		c.Printf("no process can be asked\n")
	}
	return nil
}

// cephDir is where daemons have their sockets, as Ceph's do.
const cephDir = "/run/ceph"

// daemons lists the sockets of daemons of that name, or of all.
func daemons(name string) (list []string) {
	if name == "" {
		name = "*.*"
	}
	for _, dir := range []string{cephDir, store.DaemonDir} {
		found, _ := filepath.Glob(filepath.Join(dir, "*-"+name+".asok"))
		list = append(list, found...)
	}
	return list
}

// find returns the socket that name means.
func find(c *verb.Call, name string) (string, error) {
	st, statErr := os.Stat(name)
	switch {
	case statErr == nil && st.Mode().Type() == fs.ModeSocket:
		return name, nil
	case statErr == nil && (st.Mode().IsRegular() || st.Mode()&fs.ModeDevice != 0):
		sock, _, err := store.Socket(c, name, "There is nobody to ask. What the store itself says: "+c.Command("dump", name, "super"))
		return sock, err
	case name == "":
		return "", verb.Usage("NAME is empty")
	case strings.Contains(name, "/"):
		if statErr == nil {
			statErr = errors.New("neither a socket nor a device or image")
		}
		var pe *fs.PathError
		if errors.As(statErr, &pe) {
			statErr = pe.Err
		}
		return "", &verb.Failure{Code: store.CodeSocket, Message: fmt.Sprintf("%s: %v", name, statErr), Hint: "Who can be asked: " + c.Command("admin")}
	}
	var socks []string
	if strings.Trim(name, "0123456789abcdef-") == "" {
		all, err := store.Sockets(c, name[:min(len(name), 8)])
		if err != nil {
			return "", err
		}
		socks = all
	} else if kind, id, ok := strings.Cut(name, "."); ok && kind != "" && id != "" && !strings.ContainsAny(name, "*?[\\") {
		socks = daemons(name)
	}
	if len(socks) > 1 { // a killed process leaves its socket
		socks = slices.DeleteFunc(socks, func(sock string) bool { return asok.Alive(sock) != nil })
	}
	switch len(socks) {
	case 0:
		return "", store.CannotAsk(c, name, fs.ErrNotExist)
	case 1:
		return socks[0], nil
	}
	return "", &verb.Failure{Code: store.CodeSocket, Message: fmt.Sprintf("%s: could be any of %s", name, strings.Join(socks, ", ")), Hint: "Give more of the name, or a path."}
}
