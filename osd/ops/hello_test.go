package ops

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// The class that the captured scenarios of exec call: a method that only reads,
// ones that write, one that writes and answers with a number and bytes.
func init() {
	const attr = "hello"
	cls.Register("hello", cls.Class{
		"say_hello": cls.Reading(cls.AllInput, func(_ cls.Context, name []byte, out *denc.Encoder) error {
			if len(name) == 0 {
				name = []byte("world")
			}
			out.Raw([]byte("Hello, " + string(name) + "!"))
			return nil
		}),
		"record_hello": cls.Writing(cls.AllInput, func(c cls.Context, name []byte) error {
			if c.Exists() {
				return ceph.EEXIST
			}
			return c.WriteFull([]byte("Hello, " + string(name) + "!"))
		}),
		"replay": cls.Reading(cls.NoInput, func(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
			p, err := c.Read(0, 0)
			out.Raw(p)
			return err
		}),
		"write_return_data": {Writes: true, Call: func(c cls.Context, _ []byte) ([]byte, error) {
			if err := c.SetAttr(attr, []byte("there")); err != nil {
				return nil, err
			}
			return []byte("you might see this"), ceph.Errno(42)
		}},
	})
}
