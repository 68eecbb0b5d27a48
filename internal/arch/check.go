package arch

import (
	"go/ast"
	"go/token"
	"io/fs"
	"slices"
	"strings"
)

// Check reads the module at root and returns its findings in a stable order,
// none if all of I1 to I5 hold.
func Check(root fs.FS) ([]string, error) {
	t, err := load(root)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range t.names() {
		files := t.packages[name]
		i := slices.IndexFunc(rules, func(r rule) bool { return covers(r.packages, name) })
		if i < 0 {
			found = append(found, name+": no row of internal/arch/table.go says where this package belongs")
			continue
		}
		r := &rules[i]
		for _, f := range files {
			found = append(found, t.edges(r, name, f)...)
			if r.pure && !f.test {
				found = append(found, t.impure(f)...)
			}
			if f.ast.Name.Name == "main" && !r.program {
				found = append(found, t.at(f.ast.Package, "package main: tools/ebofs is the only program"))
			}
		}
		found = append(found, t.undocumented(name, files)...)
	}
	return found, nil
}

// covers reports whether pattern, a path or a path with "/...", covers name.
func covers(pattern, name string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == base || strings.HasPrefix(name, base+"/")
	}
	return pattern == name
}

// edges returns the imports of f that rule r of package name does not allow.
func (t *tree) edges(r *rule, name string, f *source) (found []string) {
	any := func(patterns []string, p string) bool {
		return slices.ContainsFunc(patterns, func(pattern string) bool { return covers(pattern, p) })
	}
	prefixed := func(prefixes []string, p string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(p, prefix) })
	}
	f.imports(func(imp string, pos token.Pos) {
		if own, ok := strings.CutPrefix(imp, t.module+"/"); ok {
			allowed := covers("internal/...", own) || any(r.module, own) ||
				f.test && (own == name || any(testOnly.module, own) || any(testExtra[name], own))
			if !allowed {
				found = append(found, t.at(pos, "%s imports %s, which the picture does not allow", name, own))
			}
			return
		}
		if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") {
			if !prefixed(r.others, imp) && !(f.test && prefixed(testOnly.others, imp)) {
				found = append(found, t.at(pos, "%s imports module %s, which its row does not name", name, imp))
			}
		}
	})
	return found
}

// impure returns what breaks I3 in f.
func (t *tree) impure(f *source) (found []string) {
	const (
		clock  = "reads the clock"
		chance = "draws from the process-wide random source"
		io     = "does I/O"
	)
	local := map[string]string{} // name in this file to import path
	f.imports(func(imp string, pos token.Pos) {
		switch imp {
		case "os", "net", "syscall", "golang.org/x/sys/unix":
			found = append(found, t.at(pos, "imports %s: a deciding package %s", imp, "never "+io))
		case "time":
			local["time"] = imp
		case "math/rand", "math/rand/v2", "crypto/rand":
			local["rand"] = imp
		}
	})
	for _, spec := range f.ast.Imports {
		if imp := strings.Trim(spec.Path.Value, `"`); spec.Name != nil && (imp == "time" || strings.HasSuffix(imp, "rand") || strings.HasSuffix(imp, "rand/v2")) {
			found = append(found, t.at(spec.Pos(), "%s under another name hides from this check", imp))
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, t.at(n.Pos(), "a deciding package never starts a goroutine"))
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			switch local[x.Name] {
			case "time":
				if slices.Contains([]string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}, n.Sel.Name) {
					found = append(found, t.at(n.Pos(), "time.%s: a deciding package never %s", n.Sel.Name, clock))
				}
			case "crypto/rand":
				found = append(found, t.at(n.Pos(), "rand.%s: a deciding package never %s", n.Sel.Name, chance))
			case "math/rand", "math/rand/v2":
				// Types and constructors take their source as an argument.
				if !strings.HasPrefix(n.Sel.Name, "New") && !slices.Contains([]string{"Rand", "Source", "PCG", "ChaCha8", "Zipf"}, n.Sel.Name) {
					found = append(found, t.at(n.Pos(), "rand.%s: a deciding package never %s", n.Sel.Name, chance))
				}
			}
		}
		return true
	})
	return found
}
