package verb

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Failure is an error as an operator meets it. Any other error a Run returns
// is shown with the code E-FAILED, or E-IO if an errno is in its chain.
type Failure struct {
	// Code names the kind of failure; `ebofs man CODE` explains it.
	Code string
	// Message says what was found, naming the thing; lower case, no full stop.
	Message string
	// Hint says whether anything was written and gives the next command; at
	// most two lines; may be empty.
	Hint string
	// Exit is the exit code; 0 means the verb's usual one.
	Exit int
	// Err is the cause, if there is one; it is not printed.
	Err error
}

// Error returns the message.
func (f *Failure) Error() string { return f.Message }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// The codes this package gives out itself.
const (
	CodeUsage     = "E-USAGE"
	CodeLater     = "E-NOT-YET"
	CodeCancelled = "E-CANCELLED"
	CodeIO        = "E-IO"
	CodeFailed    = "E-FAILED"
)

// Usage returns the failure for a wrong command line.
func Usage(message string) *Failure { return &Failure{Code: CodeUsage, Message: message} }

// asFailure turns any error into a Failure with its exit code filled in.
func asFailure(err error, codes Codes) *Failure {
	var f *Failure
	switch {
	case errors.As(err, &f):
		g := *f
		f = &g
	case errors.Is(err, context.Canceled):
		f = &Failure{Code: CodeCancelled, Message: "interrupted", Err: err}
	default:
		f = &Failure{Code: CodeFailed, Message: err.Error(), Err: err}
		// "open x: no such file" names what we did; the operator asked for x.
		if pe, ok := err.(*fs.PathError); ok {
			f.Message = pe.Path + ": " + pe.Err.Error()
		}
		if errnoName(err) != "" {
			f.Code = CodeIO
		}
	}
	if f.Exit == 0 {
		switch f.Code {
		case CodeUsage, CodeLater:
			f.Exit = codes.Usage
		case CodeCancelled:
			f.Exit = codes.Cancelled
		default:
			f.Exit = codes.Failure
		}
	}
	return f
}

// errnoName returns the symbolic errno in err's chain ("EBUSY"), or "".
func errnoName(err error) string {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return ""
	}
	return unix.ErrnoName(no)
}

// IsUsage reports whether err says that the command line was wrong.
func IsUsage(err error) bool {
	var f *Failure
	return errors.As(err, &f) && f.Code == CodeUsage
}
