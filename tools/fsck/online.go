package fsck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"ebofs/ebofs/check"
	"ebofs/ebofs/online"
	"ebofs/internal/asok"
	"ebofs/tools/output"
	"ebofs/tools/progress"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

const (
	codeResume  = "E-RESUME"  // a resume file that does not fit
	codeStopped = "E-STOPPED" // the check was stopped by somebody else
)

// How often the process is asked, at first and later on, and how often what it
// found is kept.
const (
	askFirst  = 10 * time.Millisecond
	askEvery  = 250 * time.Millisecond
	keepEvery = 2 * time.Second
)

// resumeSchema begins a resume file.
const resumeSchema = "ebofs.fsck-resume/1"

// kept is what a resume file holds: what was found so far, and where to go on.
type kept struct {
	Schema string        `json:"schema"`
	Report *check.Report `json:"report"`
}

// remote is a check by the process that has the store.
type remote struct {
	j      *job
	c      *verb.Call
	path   string
	sock   string
	before *check.Report // of earlier runs; nil: none
	s      online.CheckStatus
}

// checkOnline has the process that uses the store check it.
func (j *job) checkOnline(ctx context.Context, c *verb.Call, path string, level check.Level) error {
	sock, id, err := store.Socket(c, path, "It is checked without asking: "+c.Command("fsck", path))
	if err != nil {
		return err
	}
	r := &remote{j: j, c: c, path: path, sock: sock}
	var st online.Status
	if err := r.ask(ctx, &st, "store status", nil); err != nil {
		return err
	}
	if st.Store != id || !store.SameDevice(path, st.Path) {
		return &verb.Failure{Code: store.CodeSocket, Message: fmt.Sprintf("%s: the process behind %s has another store, on %s", path, sock, st.Path), Hint: "Nothing was checked. Stop one of the two."}
	}
	if r.before, err = readResume(j.resume, id, level); err != nil {
		return err
	}
	if err := r.canKeep(); err != nil {
		return err
	}
	if err := r.start(ctx, level); err != nil {
		return err
	}
	return r.follow(ctx)
}

// ask asks the process; v takes the answer.
func (r *remote) ask(ctx context.Context, v any, command string, args map[string]any) error {
	p, err := asok.Ask(ctx, r.sock, command, args)
	var refused *asok.Error
	switch {
	case errors.As(err, &refused) && command == "store check start" && refused.Errno == syscall.EBUSY:
		return &verb.Failure{Code: store.CodeSocket, Message: r.path + ": a check of this store is running already", Hint: "How far it is: " + r.c.Command("admin", r.path, "store", "check", "status"), Err: err}
	case errors.As(err, &refused):
		return &verb.Failure{Code: store.CodeRefused, Message: r.path + ": " + refused.Message, Err: err}
	case err != nil:
		return store.CannotAsk(r.c, r.path, err)
	}
	if err := json.Unmarshal(p, v); err != nil {
		return &verb.Failure{Code: store.CodeSocket, Message: fmt.Sprintf("%s: %s: an answer that makes no sense: %v", r.path, r.sock, err), Err: err}
	}
	return nil
}

func (r *remote) start(ctx context.Context, level check.Level) error {
	args := map[string]any{"level": level.String()}
	if r.j.rate.Given() {
		args["rate"] = r.j.rate.Bytes
	}
	if r.j.memory.Given() {
		args["memory"] = r.j.memory.Bytes
	}
	if r.before != nil && r.before.Position != nil {
		p, err := json.Marshal(r.before.Position)
		if err != nil {
			return err
		}
		args["position"] = string(p)
	}
	return r.ask(ctx, &r.s, "store check start", args)
}

// follow shows how far the check is until it ends, and cancels it when ctx does.
func (r *remote) follow(ctx context.Context) error {
	lines, err := r.j.lines()
	if err != nil {
		return err
	}
	meter := progress.Start(progress.Options{Err: r.c.Err, Terminal: r.c.ErrTerminal, Columns: r.c.Columns, Name: r.c.Name() + ": " + r.path, Status: r.c.Status, Lines: lines, Device: r.path})
	defer meter.Stop()
	shown := shown{meter: meter}
	id := map[string]any{"id": r.s.ID}
	wait := askFirst
	for saved := time.Now(); r.s.State == online.Running; wait = min(2*wait, askEvery) {
		shown.show(check.Progress{Phase: r.s.Phase, Pass: r.s.Pass, Done: r.s.Done, Total: r.s.Total})
		select {
		case <-ctx.Done():
			if err := r.ask(context.WithoutCancel(ctx), &r.s, "store check cancel", id); err != nil {
				return r.lost(err)
			}
			continue
		case <-time.After(wait):
		}
		args := map[string]any{"id": r.s.ID}
		if r.j.resume != "" && time.Since(saved) >= keepEvery {
			args["report"], saved = true, time.Now()
		}
		var now online.CheckStatus
		err := r.ask(ctx, &now, "store check status", args)
		switch {
		case ctx.Err() != nil || errors.Is(err, syscall.EBUSY): // too many ask at once
			continue
		case err != nil:
			return r.lost(err)
		}
		r.s = now
		if now.Report != nil && now.State == online.Running {
			if err := r.keep(now.Report); err != nil {
				return err
			}
		}
	}
	meter.Stop()
	return r.finish(ctx)
}

// finish reports what the check found.
func (r *remote) finish(ctx context.Context) error {
	c, rep := r.c, r.s.Report
	done := r.s.State == online.Done
	if rep != nil {
		rep = check.Merge(r.before, rep)
		if rep.Store != "" {
			c.Set(result{r.path, rep, nil})
			r.j.print(c, r.path, rep)
		}
	}
	if done {
		if r.j.resume != "" {
			if err := os.Remove(r.j.resume); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if rep == nil || !rep.OK() || !rep.Complete {
			c.Exit(exitLeft)
		}
		return nil
	}
	if r.s.Report != nil {
		if err := r.keep(r.s.Report); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return &verb.Failure{Code: verb.CodeCancelled, Message: "interrupted", Hint: r.hint(), Err: ctx.Err()}
	}
	return &verb.Failure{Code: codeStopped, Message: fmt.Sprintf("%s: the check was stopped: %s", r.path, r.s.Reason), Hint: r.hint()}
}

// lost is the failure when the process went away.
func (r *remote) lost(err error) error {
	f := &verb.Failure{Code: codeStopped, Message: r.path + ": the process that has the store ended, or does not answer", Hint: r.hint(), Err: err}
	return f
}

// hint says how to go on.
func (r *remote) hint() string {
	if r.j.resume == "" {
		return "With --resume FILE it could go on where it was."
	}
	args := []string{"--online", "--level", r.j.level, "--resume", r.j.resume}
	if r.j.rate.Given() {
		args = append(args, "--rate", r.j.rate.String())
	}
	return "Go on with: " + r.c.Command("fsck", append(args, r.path)...)
}

// canKeep finds out before the check whether its state can be kept.
func (r *remote) canKeep() error {
	if r.j.resume == "" {
		return nil
	}
	f, err := output.Create(r.j.resume, r.path)
	if err != nil {
		return &verb.Failure{Code: codeResume, Message: err.Error(), Hint: "Nothing was checked.", Err: err}
	}
	f.Discard()
	return nil
}

// keep writes what was found so far to the resume file, whole or not at all.
func (r *remote) keep(rep *check.Report) error {
	if r.j.resume == "" {
		return nil
	}
	rep = check.Merge(r.before, rep)
	p, err := json.Marshal(kept{resumeSchema, rep})
	if err != nil {
		return err
	}
	return output.Write(r.j.resume, append(p, '\n'), r.path)
}

// readResume reads the file of an earlier run; nil if there is none.
func readResume(path, id string, level check.Level) (*check.Report, error) {
	if path == "" {
		return nil, nil
	}
	p, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	refuse := func(format string, args ...any) error {
		return &verb.Failure{Code: codeResume, Message: path + ": " + fmt.Sprintf(format, args...), Hint: "Nothing was checked. Name a new file, or remove this one to begin anew."}
	}
	var k kept
	switch err := json.Unmarshal(p, &k); {
	case err != nil || k.Schema != resumeSchema || k.Report == nil || k.Report.Position == nil:
		return nil, refuse("is no resume file of fsck")
	case k.Report.Store != id:
		return nil, refuse("is of store %s, not of %s", layoutShort(k.Report.Store), layoutShort(id))
	case k.Report.Level != level.String():
		return nil, refuse("is of a check of level %s, not %s", k.Report.Level, level)
	}
	return k.Report, nil
}
