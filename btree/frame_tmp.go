package btree

type frame struct{}

func (f *frame) unpin() {}
