package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"ebofs/cluster/ceph"
)

func init() {
	add("config-key", "rw", "config-key set key:CephString [val:CephString]", "set <key> to value <val>", cmdKeySet)
	old("config-key", "rw", "config-key put key:CephString [val:CephString]", "put <key>, value <val>", cmdKeySet)
	add("config-key", "r", "config-key get key:CephString", "get <key>", cmdKeyGet)
	add("config-key", "rw", "config-key rm key:CephString", "rm <key>", cmdKeyRm)
	old("config-key", "rw", "config-key del key:CephString", "delete <key>", cmdKeyRm)
	add("config-key", "r", "config-key exists key:CephString", "say whether a key exists", cmdKeyExists)
	add("config-key", "r", "config-key ls", "list keys", cmdKeyLs)
	old("config-key", "r", "config-key list", "list keys", cmdKeyLs)
	add("config-key", "r", "config-key dump [key:CephString]", "list keys with their values, all or those that begin so", cmdKeyDump)
}

func cmdKeySet(c *call) error {
	key, _ := c.str("key")
	val, ok := c.str("val")
	if !ok {
		val = string(c.input)
	}
	c.text = "set " + key
	return c.change(func(ch *Change) error {
		ch.Put(prefixKV+key, []byte(val))
		return nil
	})
}

func cmdKeyGet(c *call) error {
	key, _ := c.str("key")
	v, ok := c.st.KV[key]
	if !ok {
		return fail(ceph.ENOENT, "key '%s' doesn't exist", key)
	}
	c.text, c.out = fmt.Sprintf("obtained '%s'", key), v
	return nil
}

func cmdKeyRm(c *call) error {
	key, _ := c.str("key")
	c.text = "key deleted"
	return c.change(func(ch *Change) error {
		ch.Delete(prefixKV + key)
		return nil
	})
}

func cmdKeyExists(c *call) error {
	key, _ := c.str("key")
	if _, ok := c.st.KV[key]; !ok {
		return fail(ceph.ENOENT, "key '%s' doesn't exist", key)
	}
	c.text = fmt.Sprintf("key '%s' exists", key)
	return nil
}

func cmdKeyLs(c *call) error {
	return c.print(slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(c.st.KV)))), nil)
}

// cmdKeyDump shows values that are text, and of others their length.
func cmdKeyDump(c *call) error {
	prefix, _ := c.str("key")
	out := map[string]string{}
	for k, v := range c.st.KV {
		if !strings.HasPrefix(k, prefix) {
			continue
		}
		out[k] = string(v)
		if !utf8.Valid(v) || strings.IndexFunc(string(v), func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) >= 0 {
			out[k] = fmt.Sprintf("<<< binary blob of length %d >>>", len(v))
		}
	}
	return c.print(out, nil)
}
