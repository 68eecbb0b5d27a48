package rbd

import (
	"math"

	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// metadataPrefix stands in front of the keys that users give an image. Values are
// stored as they come.
const metadataPrefix = "metadata_"

// listMetadata returns a map of keys to values; all of it if no number is given.
func listMetadata(c cls.Context, s span, out *denc.Encoder) error {
	if s.most == 0 {
		s.most = math.MaxUint64
	}
	return list(c, metadataPrefix, s, out, (*denc.Encoder).Blob)
}

func getMetadata(c cls.Context, key string, out *denc.Encoder) error {
	v, err := c.OmapGet(metadataPrefix + key)
	out.Blob(v)
	return err
}

func decodeMetadata(d *denc.Decoder) map[string][]byte {
	return denc.Map(d, 8, func(d *denc.Decoder) string { return metadataPrefix + d.Str() }, (*denc.Decoder).Bytes)
}

func setMetadata(c cls.Context, kv map[string][]byte) error {
	if len(kv) == 0 {
		return nil
	}
	return c.OmapSet(kv)
}

func removeMetadata(c cls.Context, key string) error { return c.OmapRm(metadataPrefix + key) }
