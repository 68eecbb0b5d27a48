package mon_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A shape is a JSON answer without its values: types by their names, lists as the
// union of what is in them, and keys that are ids, names or addresses as "*".

// free are keys that name things of the cluster: what is behind them has one
// shape.
var free = []*regexp.Regexp{
	regexp.MustCompile(`^\d+$`),
	regexp.MustCompile(`^-\d+$`),
	regexp.MustCompile(`^(osd|mon|mgr|client)\.[a-z0-9]*$`),
	regexp.MustCompile(`^(ceph version|ebofs)`),
	regexp.MustCompile(`^[\da-f]{8}-[\da-f-]{27}$`),
	regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+`),
	regexp.MustCompile(`^[A-Z]+(_[A-Z]+)+$`), // health checks
}

// named are the places whose keys are names that somebody chose.
var named = regexp.MustCompile(`(^|/)(application_metadata|erasure_code_profiles|options|checks|location|crush_location|crush_node_flags|device_class_flags|stats_by_class|always_on_modules|module_options)$` +
	`|^(osd|mon|mgr) metadata( ARGS)?(/\[\])?$|^osd pool application get( ARGS)?(/[a-z]*)?$|^osd erasure-code-profile get ARGS$|^config get ARGS$|^config-key dump( ARGS)?$|^node ls(/(mon|osd|mgr)| ARGS)$` +
	`|^features$|/feature_map$|^tell mon.a config show$|^tell mon.a config get ARGS$|^tell mon.a config diff[a-zA-Z ]*/diff(/[a-z_]*)?$|^tell mon.a perf dump(/[^/]*)?$`)

// shape returns that of v, which stands at path.
func shape(path string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			at := path + "/" + k
			if named.MatchString(path) || slices.ContainsFunc(free, func(r *regexp.Regexp) bool { return r.MatchString(k) }) {
				k = "*"
			}
			out[k] = join(out[k], shape(at, x))
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			one := shape(path+"/[]", x)
			if len(out) == 0 {
				out = append(out, one)
			} else {
				out[0] = join(out[0], one)
			}
		}
		return out
	case string:
		return "string"
	case float64, json.Number:
		return "number"
	case bool:
		return "bool"
	}
	return "null"
}

// join returns the shape of what may be a or b.
func join(a, b any) any {
	switch x := a.(type) {
	case nil:
		return b
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok {
			return a
		}
		out := maps.Clone(x)
		for k, v := range y {
			out[k] = join(out[k], v)
		}
		return out
	case []any:
		y, ok := b.([]any)
		if !ok || len(y) == 0 {
			return a
		}
		if len(x) == 0 {
			return b
		}
		return []any{join(x[0], y[0])}
	case string:
		if y, ok := b.(string); ok && x != y && !slices.Contains(strings.Split(x, "|"), y) {
			l := append(strings.Split(x, "|"), y)
			slices.Sort(l)
			return strings.Join(l, "|")
		}
	}
	return a
}

// differ lists where our shape is not that of the real one.
func differ(path string, ours, real any) (list []string) {
	kind := func(v any) string {
		switch v.(type) {
		case nil:
			return "nothing"
		case map[string]any:
			return "object"
		case []any:
			return "list"
		}
		return fmt.Sprint(v)
	}
	switch o := ours.(type) {
	case map[string]any:
		r, ok := real.(map[string]any)
		if !ok {
			break
		}
		for _, k := range slices.Sorted(maps.Keys(r)) {
			if _, ok := o[k]; !ok && k != "*" {
				list = append(list, path+"/"+k+" is missing")
			}
		}
		for _, k := range slices.Sorted(maps.Keys(o)) {
			if _, ok := r[k]; ok {
				list = append(list, differ(path+"/"+k, o[k], r[k])...)
			} else if k != "*" {
				list = append(list, path+"/"+k+" is too much")
			}
		}
		return list
	case []any:
		r, ok := real.([]any)
		if !ok {
			break
		}
		if len(o) > 0 && len(r) > 0 {
			return differ(path+"/[]", o[0], r[0])
		}
		return nil
	case string:
		if r, ok := real.(string); ok {
			for _, one := range strings.Split(o, "|") {
				if !slices.Contains(strings.Split(r, "|"), one) {
					return []string{fmt.Sprintf("%s is %s, should be %s", path, o, r)}
				}
			}
			return nil
		}
	}
	if kind(ours) != kind(real) {
		return []string{fmt.Sprintf("%s is %s, should be %s", path, kind(ours), kind(real))}
	}
	return nil
}
