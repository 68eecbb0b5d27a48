package interop

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"ebofs/tools/verb"
	"ebofs/tools/verbs"
)

// child runs the program itself: the words of childVariable are its arguments. It
// returns the exit code.
func child(spec string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, release := verb.Process()
	defer release()
	return verbs.Main(ctx, "test", append([]string{"ebofs"}, strings.Fields(spec)...), s)
}
