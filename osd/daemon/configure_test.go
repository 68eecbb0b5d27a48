package daemon_test

import (
	"testing"
	"time"
)

// TestConfigure: an OSD is told what the monitors' database sets for it, at first and
// when that changes, and nothing of others.
func TestConfigure(t *testing.T) {
	c := newCluster(t)
	x := c.client("client.admin", c.admin)
	x.command("config set", "who", "osd", "name", "debug_osd", "value", "7")
	x.command("config set", "who", "osd.1", "name", "debug_ms", "value", "3")
	c.stop()
	told := make(chan map[string]string, 100)
	c.configure = func(v map[string]string) { told <- v }
	c.start()
	wait := func(want string) {
		t.Helper()
		end := time.After(20 * time.Second)
		for {
			select {
			case v := <-told:
				if v["debug_ms"] != "" {
					t.Errorf("what is for osd.1 came to osd.0: %v", v)
				}
				if v["debug_osd"] == want {
					return
				}
			case <-end:
				t.Fatalf("debug_osd=%s is not told", want)
			}
		}
	}
	wait("7")
	x.command("config set", "who", "osd.0", "name", "debug_osd", "value", "9")
	wait("9")
	x.command("config rm", "who", "osd.0", "name", "debug_osd")
	wait("7")
}
