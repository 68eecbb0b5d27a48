package ebofs

// Abandon ends the store's goroutines and caches without writing anything, as
// a killed process would.
func (s *Store) Abandon() {
	s.stopBackground()
	s.closed.Store(true)
	_ = s.wal.Close()
	s.fin.stop()
	s.loading.Wait()
	_ = s.free()
}
