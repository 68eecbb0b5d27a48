package quorum_test

import (
	"testing"

	"ebofs/cluster/quorum"
	"ebofs/cluster/quorum/quorumtest"
)

func TestMemory(t *testing.T) {
	m := quorum.NewMemory()
	quorumtest.Run(t, func(t *testing.T) quorum.Store {
		s := m.View("a")
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}
