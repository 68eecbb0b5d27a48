package device

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"ebofs/ebofs/layout"
	"ebofs/tools/store"
	"ebofs/tools/verb"
)

// kept is the JSON of "keep-epochs".
type kept struct {
	Store  string   `json:"store"`
	Want   int      `json:"keep_epochs"`
	Epochs []uint64 `json:"epochs"` // kept now, oldest first
}

// keepEpochs is the action that changes how many checkpoints a store keeps.
func keepEpochs() verb.Action {
	return verb.Action{Name: "keep-epochs", Args: "DEV N", Short: "keep the last N checkpoints readable, 0 for none", Schema: "ebofs.device.keep-epochs/1",
		New: func(fs *pflag.FlagSet) verb.Run {
			log := fs.String("log", "", "the log is on `DEV`")
			return func(ctx context.Context, c *verb.Call) error { return keep(ctx, c, *log) }
		}}
}

func keep(ctx context.Context, c *verb.Call, log string) (err error) {
	path := c.Args[0]
	n, err := strconv.Atoi(c.Args[1])
	if err != nil || n < 0 || n > layout.MaxKept {
		return verb.Usage(fmt.Sprintf("%q: not a number from 0 to %d", c.Args[1], layout.MaxKept))
	}
	s, err := store.Mount(ctx, c, path, store.Mode{Write: true, LogPath: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Explain(c, path, s.Close(context.WithoutCancel(ctx)))) }()
	if err := s.SetKeepEpochs(ctx, n); err != nil {
		return store.Explain(c, path, err)
	}
	sb := s.Superblock()
	r := kept{Store: sb.FSID.String(), Epochs: []uint64{}}
	want, list := s.KeptEpochs()
	for i := range list {
		r.Epochs = append(r.Epochs, list[i].Epoch())
	}
	r.Want = want
	c.Set(r)
	c.Printf("%s: epochs to keep: %d; there are %d\n", path, r.Want, len(r.Epochs))
	return nil
}
