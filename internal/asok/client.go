package asok

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxAnswer bounds an answer; Ceph's longest are some MiB.
const maxAnswer = 256 << 20

// askTime is how long a request may take if its context says nothing.
const askTime = 10 * time.Second

// Error is what a process answered to a request it refused.
type Error struct {
	Errno   syscall.Errno
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// Ask sends the command to the socket at path and returns the answer. args are
// its arguments, and "format". An *Error is the process's own refusal; any other
// error means that it could not be asked.
func Ask(ctx context.Context, path, command string, args map[string]any) ([]byte, error) {
	req := map[string]any{"prefix": command}
	for k, v := range args {
		req[k] = v
	}
	p, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	return AskRaw(ctx, path, p)
}

// AskRaw is Ask with the request as it goes out, without its end: an object, or
// bare words.
func AskRaw(ctx context.Context, path string, request []byte) ([]byte, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("%s: a socket's path takes at most %d bytes, this has %d", path, maxPath, len(path))
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, askTime)
		defer cancel()
	}
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	// One that turns us away says why without reading.
	_, sendErr := c.Write(append(request, 0))
	p, err := readAnswer(c)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("%s: no answer: %w", path, ctx.Err())
	case err != nil && sendErr != nil:
		return nil, sendErr
	case err != nil:
		return nil, fmt.Errorf("%s: no answer: %w", path, err)
	}
	return p, asError(p)
}

// readAnswer reads a length and so many bytes, which take memory as they come.
func readAnswer(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:]))
	if n > maxAnswer {
		return nil, fmt.Errorf("answer of %d bytes", n)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, n); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b.Bytes(), nil
}

// asError recognises the answer of a request that failed.
func asError(p []byte) error {
	rest, ok := strings.CutPrefix(string(p[:min(len(p), 64<<10)]), "ERROR: (")
	if !ok {
		return nil
	}
	no, rest, ok := strings.Cut(rest, ") ")
	n, err := strconv.Atoi(no)
	if !ok || err != nil {
		return nil
	}
	name, text, _ := strings.Cut(rest, "\n")
	if text = strings.TrimSpace(text); text == "" {
		text = name
	}
	return &Error{syscall.Errno(n), text}
}

// Alive reports whether a process listens at path. The error is why not.
func Alive(path string) error {
	if len(path) > maxPath {
		return os.ErrNotExist
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}
