package mon

import "context"

// Run carries out a command, one JSON object, for somebody in this process: nobody
// is asked whether it is allowed. It returns what a client gets as output, and the
// text beside it.
func (m *Monitor) Run(ctx context.Context, command string, input []byte) (out []byte, text string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	c := &call{m: m, st: m.State(), input: input}
	err = c.do([]string{command})
	return c.out, c.text, err
}
