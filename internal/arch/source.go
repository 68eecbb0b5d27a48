package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// source is a parsed file of the module.
type source struct {
	name string // path from the module root
	ast  *ast.File
	test bool
}

// imports calls fn with every import of the file and where it stands.
func (s *source) imports(fn func(path string, pos token.Pos)) {
	for _, spec := range s.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			fn(p, spec.Pos())
		}
	}
}

// tree is a module as source: its files by package, whatever their build tags.
type tree struct {
	module   string
	fset     *token.FileSet
	packages map[string][]*source
}

// load parses every Go file below root except test data, hidden directories and
// nested modules. A file that does not parse is an error.
func load(root fs.FS) (*tree, error) {
	mod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(mod), "\n")
	t := &tree{
		module:   strings.TrimSpace(strings.TrimPrefix(first, "module ")),
		fset:     token.NewFileSet(),
		packages: map[string][]*source{},
	}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name == "." {
				return nil
			}
			base := path.Base(name)
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil || base == "testdata" || base[0] == '.' || base[0] == '_' {
				return fs.SkipDir
			}
			return nil
		case path.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(t.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		pkg := path.Dir(name)
		t.packages[pkg] = append(t.packages[pkg], &source{name, f, strings.HasSuffix(name, "_test.go")})
		return nil
	})
	return t, err
}

// names returns the packages in order.
func (t *tree) names() []string {
	var names []string
	for name := range t.packages {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// at formats a finding with the place it is about.
func (t *tree) at(pos token.Pos, format string, args ...any) string {
	p := t.fset.Position(pos)
	return fmt.Sprintf("%s:%d: ", p.Filename, p.Line) + fmt.Sprintf(format, args...)
}
